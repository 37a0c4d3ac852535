//! Queues and what they drive: nothing comes back too early, nothing is lost, nobody else may send.

use std::collections::BTreeSet;
use std::time::Duration;

use erp_local::arn;
use erp_local::deployment::{Queue, TriggerSource};
use operator::dlq::queues::QUEUES;
use serde_json::Value;

use crate::world::{STACK, World};

pub(crate) mod holds {
    crate::checks::checks!(
        a_message_stays_hidden_for_six_times_the_functions_timeout,
        what_cannot_be_handled_ends_in_a_dead_letter_queue_that_keeps_it,
        every_queue_is_read_or_is_the_dead_letter_queue_of_one_that_is,
        the_operator_knows_every_dead_letter_queue,
        a_poison_message_fails_alone_in_every_trigger,
        the_topics_that_are_subscribed_may_send_and_no_others,
    );
}

const FOURTEEN_DAYS: &str = "1209600";
const LEAST_RECEIVES: u64 = 3;

fn queue<'w>(world: &'w World, queue_arn: &str) -> Option<&'w Queue> {
    world.deployment.queues.iter().find(|queue| arn::queue(&queue.name) == queue_arn)
}

fn redrive(queue: &Queue) -> Option<Value> {
    serde_json::from_str(queue.attributes.get("RedrivePolicy")?).ok()
}

/// The queues that drive functions, with the longest that their function may take.
fn driving(world: &World) -> impl Iterator<Item = (&Queue, Duration)> {
    world.deployment.triggers.iter().filter_map(|trigger| match &trigger.source {
        TriggerSource::Queue { queue_arn, .. } => {
            Some((queue(world, queue_arn)?, world.function(&trigger.function).timeout))
        }
        TriggerSource::Stream { .. } | TriggerSource::Schedule { .. } => None,
    })
}

fn a_message_stays_hidden_for_six_times_the_functions_timeout(world: &World) -> Vec<String> {
    let faults = driving(world).filter_map(|(queue, timeout)| {
        let hidden =
            queue.attributes.get("VisibilityTimeout").and_then(|text| text.parse::<u64>().ok()).unwrap_or(30);
        let wanted = 6 * timeout.as_secs();
        (hidden < wanted)
            .then(|| format!("{}: VisibilityTimeout must be {wanted} at least", queue.logical_id))
    });
    faults.collect()
}

fn what_cannot_be_handled_ends_in_a_dead_letter_queue_that_keeps_it(world: &World) -> Vec<String> {
    let faults = driving(world).filter_map(|(queue, _)| {
        let id = &queue.logical_id;
        let Some(policy) = redrive(queue) else {
            return Some(format!("{id}: add a RedrivePolicy with a dead-letter queue"));
        };
        let count = &policy["maxReceiveCount"];
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0);
        if count < LEAST_RECEIVES {
            return Some(format!("{id}: maxReceiveCount must be {LEAST_RECEIVES} at least, not {count}"));
        }
        let target = self::queue(world, policy["deadLetterTargetArn"].as_str()?)?;
        let kept = target.attributes.get("MessageRetentionPeriod").map(String::as_str);
        (kept != Some(FOURTEEN_DAYS)).then(|| {
            format!("{}: MessageRetentionPeriod must be {FOURTEEN_DAYS} (14 days)", target.logical_id)
        })
    });
    faults.collect()
}

fn every_queue_is_read_or_is_the_dead_letter_queue_of_one_that_is(world: &World) -> Vec<String> {
    let dead: BTreeSet<String> = world
        .deployment
        .queues
        .iter()
        .filter_map(redrive)
        .filter_map(|policy| policy["deadLetterTargetArn"].as_str().map(str::to_owned))
        .collect();
    let faults = world.deployment.queues.iter().filter_map(|queue| {
        let is_read = driving(world).any(|(driving, _)| driving.name == queue.name);
        let is_dead = dead.contains(&arn::queue(&queue.name));
        (!is_read && !is_dead)
            .then(|| format!("{}: nobody reads it; add a trigger or take it out", queue.logical_id))
    });
    faults.collect()
}

fn the_operator_knows_every_dead_letter_queue(world: &World) -> Vec<String> {
    let policies = world.deployment.queues.iter().filter_map(redrive);
    let targets = policies.filter_map(|policy| policy["deadLetterTargetArn"].as_str().map(str::to_owned));
    let there: BTreeSet<String> = targets.collect();
    let known: BTreeSet<String> =
        QUEUES.iter().map(|(name, _)| arn::queue(&format!("{STACK}-{name}"))).collect();
    let unknown = there.difference(&known).map(|arn| {
        format!("{arn}: say in QUEUES of functions/operator/src/dlq/queues.rs whose dead letters are in it")
    });
    let gone = known.difference(&there).map(|arn| {
        format!("{arn}: functions/operator/src/dlq/queues.rs knows it, and no RedrivePolicy names it")
    });
    unknown.chain(gone).collect()
}

fn a_poison_message_fails_alone_in_every_trigger(world: &World) -> Vec<String> {
    let faults = world.deployment.triggers.iter().filter_map(|trigger| {
        let (reports, batch, most) = match trigger.source {
            TriggerSource::Queue { report_item_failures, batch_size, .. } => {
                (report_item_failures, batch_size, 10)
            }
            TriggerSource::Stream { report_item_failures, batch_size, .. } => {
                (report_item_failures, batch_size, 100)
            }
            TriggerSource::Schedule { .. } => return None,
        };
        let at = format!("{}.{}", trigger.function, trigger.name);
        if !reports {
            Some(format!("{at}: add FunctionResponseTypes: [ReportBatchItemFailures]"))
        } else if batch > most {
            Some(format!("{at}: BatchSize is {batch}; a function must be done with {most} in its time"))
        } else {
            None
        }
    });
    faults.collect()
}

fn the_topics_that_are_subscribed_may_send_and_no_others(world: &World) -> Vec<String> {
    let by_ref = |value: &Value| value["Ref"].as_str().map(str::to_owned);
    let many = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(by_ref).collect::<BTreeSet<_>>(),
        one => by_ref(one).into_iter().collect(),
    };
    let faults = world.deployment.queues.iter().filter_map(|queue| {
        let id = &queue.logical_id;
        let att = Value::from(format!("{id}.Arn"));
        let subscribed: BTreeSet<String> = world.of_type("AWS::SNS::Subscription")
            .filter(|subscription| subscription.property("/Endpoint/GetAtt") == &att)
            .filter_map(|subscription| by_ref(subscription.property("/TopicArn")))
            .collect();
        let mut allowed = BTreeSet::new();
        for policy in world.of_type("AWS::SQS::QueuePolicy") {
            for statement in policy.property("/PolicyDocument/Statement").as_array().into_iter().flatten() {
                if statement["Resource"]["GetAtt"] != att {
                    continue;
                }
                let exact = statement["Principal"]["Service"] == "sns.amazonaws.com"
                    && statement["Action"] == "sqs:SendMessage"
                    && statement["Effect"] == "Allow";
                if !exact {
                    return Some(format!("{}: lets in more than SNS that sends", policy.id));
                }
                allowed.extend(many(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]));
            }
        }
        (allowed != subscribed).then(|| {
            format!("{id}: its policy names the topics {allowed:?}, its subscriptions {subscribed:?}: make them the same")
        })
    });
    faults.collect()
}

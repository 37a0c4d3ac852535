//! Queues and the functions they trigger: visibility time-outs, dead-letter queues, batch failures, and the
//! policies.

use std::collections::BTreeSet;
use std::time::Duration;

use erp_local::arn;
use erp_local::deployment::{Queue, TriggerSource};
use operator::dlq::queues::QUEUES;
use serde_json::{Value, json};

use crate::template::{Resource, STACK, Template};

pub(crate) mod checks {
    crate::template_checks::register!(
        the_visibility_timeout_is_six_times_the_timeout_of_the_function,
        poison_messages_are_kept_in_a_dead_letter_queue,
        every_queue_triggers_a_function_or_is_a_dead_letter_queue,
        the_operator_cli_lists_every_dead_letter_queue,
        every_trigger_reports_partial_batch_failures,
        exactly_the_subscribed_topics_may_send_to_a_queue,
        undeliverable_messages_are_kept_in_the_dead_letter_queue,
        queues_and_topics_refuse_requests_without_tls,
    );
}

const FOURTEEN_DAYS: &str = "1209600";
/// Minimum of `maxReceiveCount`: SQS counts the receives of every message in the batch of a killed function, and
/// the worker itself moves poison messages.
const MIN_RECEIVE_COUNT: u64 = 100;

fn queue<'w>(template: &'w Template, queue_arn: &str) -> Option<&'w Queue> {
    template.deployment.queues.iter().find(|queue| arn::queue(&queue.name) == queue_arn)
}

fn redrive(queue: &Queue) -> Option<Value> {
    serde_json::from_str(queue.attributes.get("RedrivePolicy")?).ok()
}

/// Returns the queues that trigger functions, with the time-outs of the functions.
fn triggering(template: &Template) -> impl Iterator<Item = (&Queue, Duration)> {
    template.deployment.triggers.iter().filter_map(|trigger| match &trigger.source {
        TriggerSource::Queue { queue_arn, .. } => {
            Some((queue(template, queue_arn)?, template.function(&trigger.function).timeout))
        }
        TriggerSource::Stream { .. } | TriggerSource::Schedule { .. } => None,
    })
}

fn the_visibility_timeout_is_six_times_the_timeout_of_the_function(template: &Template) -> Vec<String> {
    let violations = triggering(template).filter_map(|(queue, timeout)| {
        let timeout_of_queue =
            queue.attributes.get("VisibilityTimeout").and_then(|text| text.parse::<u64>().ok()).unwrap_or(30);
        let expected = 6 * timeout.as_secs();
        (timeout_of_queue < expected)
            .then(|| format!("{}: VisibilityTimeout must be at least {expected}", queue.logical_id))
    });
    violations.collect()
}

fn poison_messages_are_kept_in_a_dead_letter_queue(template: &Template) -> Vec<String> {
    let violations = triggering(template).filter_map(|(queue, _)| {
        let id = &queue.logical_id;
        let Some(policy) = redrive(queue) else {
            return Some(format!("{id}: add a RedrivePolicy with a dead-letter queue"));
        };
        let count = &policy["maxReceiveCount"];
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0);
        if count < MIN_RECEIVE_COUNT {
            return Some(format!("{id}: maxReceiveCount must be at least {MIN_RECEIVE_COUNT}, not {count}"));
        }
        let target = self::queue(template, policy["deadLetterTargetArn"].as_str()?)?;
        let kept = target.attributes.get("MessageRetentionPeriod").map(String::as_str);
        (kept != Some(FOURTEEN_DAYS)).then(|| {
            format!("{}: MessageRetentionPeriod must be {FOURTEEN_DAYS} (14 days)", target.logical_id)
        })
    });
    violations.collect()
}

fn every_queue_triggers_a_function_or_is_a_dead_letter_queue(template: &Template) -> Vec<String> {
    let dead: BTreeSet<String> = template
        .deployment
        .queues
        .iter()
        .filter_map(redrive)
        .filter_map(|policy| policy["deadLetterTargetArn"].as_str().map(str::to_owned))
        .collect();
    let violations = template.deployment.queues.iter().filter_map(|queue| {
        let triggers = triggering(template).any(|(other, _)| other.name == queue.name);
        let is_dead = dead.contains(&arn::queue(&queue.name));
        (!triggers && !is_dead)
            .then(|| format!("{}: no function reads it; add a trigger or remove the queue", queue.logical_id))
    });
    violations.collect()
}

fn the_operator_cli_lists_every_dead_letter_queue(template: &Template) -> Vec<String> {
    let policies = template.deployment.queues.iter().filter_map(redrive);
    let targets = policies.filter_map(|policy| policy["deadLetterTargetArn"].as_str().map(str::to_owned));
    let deployed: BTreeSet<String> = targets.collect();
    let known: BTreeSet<String> =
        QUEUES.iter().map(|(name, _)| arn::queue(&format!("{STACK}-{name}"))).collect();
    let unknown = deployed.difference(&known).map(|arn| {
        format!("{arn}: add it with its consumer to QUEUES in functions/operator/src/dlq/queues.rs")
    });
    let outdated = known.difference(&deployed).map(|arn| {
        format!("{arn}: remove it from functions/operator/src/dlq/queues.rs: no RedrivePolicy refers to it")
    });
    unknown.chain(outdated).collect()
}

fn every_trigger_reports_partial_batch_failures(template: &Template) -> Vec<String> {
    let violations = template.deployment.triggers.iter().filter_map(|trigger| {
        let (reports, batch, most) = match trigger.source {
            TriggerSource::Queue { report_item_failures, batch_size, .. } => {
                (report_item_failures, batch_size, 10)
            }
            // It reads the rows of a whole batch at once.
            TriggerSource::Stream { report_item_failures, batch_size, .. }
                if trigger.function == "ReconcileChangesFunction" =>
            {
                (report_item_failures, batch_size, 1000)
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
            Some(format!("{at}: BatchSize is {batch}; the time-out of the function suffices for {most}"))
        } else {
            None
        }
    });
    violations.collect()
}

/// Returns the subscriptions of queues.
fn subscriptions(template: &Template) -> impl Iterator<Item = &Resource> {
    template
        .of_type("AWS::SNS::Subscription")
        .filter(|subscription| subscription.property("/Protocol") == "sqs")
}

/// The statement that denies requests without TLS.
fn deny_without_tls(action: &str, resource: &Value) -> Value {
    json!({
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resource,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })
}

/// SNS sends what it cannot deliver to the dead-letter queue of the queue, so that the operator's program
/// redrives it like a message that a function has failed to process.
fn undeliverable_messages_are_kept_in_the_dead_letter_queue(template: &Template) -> Vec<String> {
    let violations = subscriptions(template).filter_map(|subscription| {
        let queue = subscription.property("/Endpoint/GetAtt").as_str()?.trim_end_matches(".Arn");
        let target = template.resource(queue)?.property("/RedrivePolicy/deadLetterTargetArn");
        (subscription.property("/RedrivePolicy") != &json!({"deadLetterTargetArn": target})).then(|| {
            format!("{}: RedrivePolicy must have the deadLetterTargetArn of {queue}", subscription.id)
        })
    });
    violations.collect()
}

fn queues_and_topics_refuse_requests_without_tls(template: &Template) -> Vec<String> {
    let targets = [
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
        ("AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
    ];
    let mut violations = Vec::new();
    for (kind, policy_kind, property, action) in targets {
        for target in template.of_type(kind) {
            let id = &target.id;
            let arn = match kind {
                "AWS::SQS::Queue" => json!({"GetAtt": format!("{id}.Arn")}),
                _ => json!({"Ref": id}),
            };
            let denied = template.of_type(policy_kind).any(|policy| {
                let statements = policy.property("/PolicyDocument/Statement").as_array();
                *policy.property(&format!("/{property}")) == json!([{"Ref": id}])
                    && statements.is_some_and(|list| list.contains(&deny_without_tls(action, &arn)))
            });
            if !denied {
                violations.push(format!(
                    "{id}: add an {policy_kind} that denies {action} without aws:SecureTransport"
                ));
            }
        }
    }
    // A policy of its own replaces the default policy of a topic, which allows CloudWatch to publish.
    let allow = json!({
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": {"Ref": "Alarms"},
        "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
    });
    let policy = template.resource("AlarmsPolicy");
    if policy.is_none_or(|policy| *policy.property("/PolicyDocument/Statement/0") != allow) {
        violations.push(format!("AlarmsPolicy: the first statement must be {allow}"));
    }
    violations
}

fn exactly_the_subscribed_topics_may_send_to_a_queue(template: &Template) -> Vec<String> {
    let by_ref = |value: &Value| value["Ref"].as_str().map(str::to_owned);
    let many = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(by_ref).collect::<BTreeSet<_>>(),
        one => by_ref(one).into_iter().collect(),
    };
    let violations = template.deployment.queues.iter().filter_map(|queue| {
        let id = &queue.logical_id;
        let att = Value::from(format!("{id}.Arn"));
        let subscribed: BTreeSet<String> = subscriptions(template)
            .filter(|subscription| {
                subscription.property("/Endpoint/GetAtt") == &att
                    || subscription.property("/RedrivePolicy/deadLetterTargetArn/GetAtt") == &att
            })
            .filter_map(|subscription| by_ref(subscription.property("/TopicArn")))
            .collect();
        let mut allowed = BTreeSet::new();
        for policy in template.of_type("AWS::SQS::QueuePolicy") {
            for statement in policy.property("/PolicyDocument/Statement").as_array().into_iter().flatten() {
                if statement["Resource"]["GetAtt"] != att
                    || *statement == deny_without_tls("sqs:*", &json!({"GetAtt": att}))
                {
                    continue;
                }
                let exact = statement["Principal"]["Service"] == "sns.amazonaws.com"
                    && statement["Action"] == "sqs:SendMessage"
                    && statement["Effect"] == "Allow";
                if !exact {
                    return Some(format!("{}: must allow only SNS, and only to send", policy.id));
                }
                allowed.extend(many(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]));
            }
        }
        (allowed != subscribed).then(|| {
            format!(
                "{id}: the policy allows the topics {allowed:?}, but the subscribed topics are {subscribed:?}"
            )
        })
    });
    violations.collect()
}

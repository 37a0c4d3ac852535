//! Topics, queues and subscriptions, and the check that queue policies allow the subscriptions.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::arn;
use crate::deployment::{Queue, Subscription, Topic};

use super::problems::TemplatePath;
use super::properties::Properties;
use super::resources::Resource;
use super::scope::Scope;

/// Attributes of a queue that the broker gets unchanged.
const QUEUE_ATTRIBUTES: [&str; 5] = [
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
];

/// Reads a topic.
pub(crate) fn topic(resource: &Resource, scope: &Scope<'_>) -> Topic {
    let mut reader = reader(resource, scope);
    let name = reader.string("TopicName");
    if reader.boolean("FifoTopic") == Some(true) {
        reader.report_at("FifoTopic", "first-in-first-out topics are not supported");
    }
    reader.ignore(&["DisplayName", "KmsMasterKeyId", "Tags", "TracingConfig", "DataProtectionPolicy"]);
    reader.finish();
    let name = name.unwrap_or_else(|| format!("{}-{}", scope.stack_name, resource.id));
    Topic { logical_id: resource.id.clone(), name }
}

/// Reads a queue.
pub(crate) fn queue(resource: &Resource, scope: &Scope<'_>) -> Queue {
    let mut reader = reader(resource, scope);
    let name = reader.string("QueueName");
    if reader.boolean("FifoQueue") == Some(true) {
        reader.report_at("FifoQueue", "first-in-first-out queues are not supported");
    }
    let mut attributes = BTreeMap::new();
    for attribute in QUEUE_ATTRIBUTES {
        if let Some(number) = reader.number::<u32>(attribute) {
            attributes.insert(attribute.to_owned(), number.to_string());
        }
    }
    if let Some(mut redrive) = reader.object("RedrivePolicy") {
        let target = redrive.required_string("deadLetterTargetArn");
        let count = redrive.number::<u32>("maxReceiveCount");
        if count.is_none() {
            redrive.report("has no maxReceiveCount");
        }
        redrive.finish();
        let policy = serde_json::json!({ "deadLetterTargetArn": target, "maxReceiveCount": count });
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
    }
    reader.ignore(&["KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "SqsManagedSseEnabled", "Tags"]);
    reader.finish();
    let name = name.unwrap_or_else(|| format!("{}-{}", scope.stack_name, resource.id));
    Queue { logical_id: resource.id.clone(), name, attributes }
}

/// The ARN of a queue's dead-letter queue. [`queue`] has written the policy, so it can be parsed.
pub(crate) fn dead_letter_arn(queue: &Queue) -> Option<String> {
    let policy: Value = serde_json::from_str(queue.attributes.get("RedrivePolicy")?).ok()?;
    policy.get("deadLetterTargetArn")?.as_str().map(str::to_owned)
}

/// The queues, each after its dead-letter queue. A missing dead-letter queue and a cycle are reported.
pub(crate) fn dead_letter_queues_first(mut queues: Vec<Queue>, scope: &Scope<'_>) -> Vec<Queue> {
    let mut ordered: Vec<Queue> = Vec::with_capacity(queues.len());
    while !queues.is_empty() {
        let ready = queues.iter().position(|queue| {
            dead_letter_arn(queue)
                .is_none_or(|target| ordered.iter().any(|before| arn::queue(&before.name) == target))
        });
        let Some(index) = ready else {
            for queue in &queues {
                scope.problems.report(
                    &TemplatePath::top("Resources").key(&queue.logical_id).key("Properties").key("RedrivePolicy"),
                    "its dead-letter queue is not a queue of this template, or the queues name each other in a circle",
                );
            }
            break;
        };
        ordered.push(queues.remove(index));
    }
    ordered
}

/// A subscription and its position.
#[derive(Debug)]
pub(crate) struct ReadSubscription {
    pub(crate) at: TemplatePath,
    pub(crate) subscription: Subscription,
    /// ARN of the queue that gets messages that SNS cannot deliver. The broker delivers in one process, so no
    /// message gets there.
    dead_letter_arn: Option<String>,
}

/// Reads a subscription.
pub(crate) fn subscription(resource: &Resource, scope: &Scope<'_>) -> Option<ReadSubscription> {
    let mut reader = reader(resource, scope);
    let topic_arn = reader.required_string("TopicArn");
    let queue_arn = reader.required_string("Endpoint");
    if let Some(protocol) = reader.required_string("Protocol").filter(|protocol| protocol != "sqs") {
        reader.report_at("Protocol", format!("{protocol} is not supported; sqs is"));
    }
    let mut attributes = BTreeMap::new();
    if let Some(raw) = reader.boolean("RawMessageDelivery") {
        attributes.insert("RawMessageDelivery".to_owned(), raw.to_string());
    }
    if let Some(policy) = reader.value("FilterPolicy") {
        attributes.insert("FilterPolicy".to_owned(), policy.to_string());
    }
    if let Some(scope) = reader.string("FilterPolicyScope") {
        attributes.insert("FilterPolicyScope".to_owned(), scope);
    }
    let dead_letter_arn = reader.object("RedrivePolicy").and_then(|mut policy| {
        let target = policy.required_string("deadLetterTargetArn");
        policy.finish();
        target
    });
    reader.finish();
    let subscription = Subscription { topic_arn: topic_arn?, queue_arn: queue_arn?, attributes };
    Some(ReadSubscription { at: resource.at(), subscription, dead_letter_arn })
}

/// A permission of topics to send to queues.
#[derive(Debug)]
pub(crate) struct QueuePermission {
    queue_urls: Vec<String>,
    resources: Vec<String>,
    /// Patterns of topic ARNs; `None` for all topics.
    topics: Option<Vec<String>>,
}

impl QueuePermission {
    fn allows(&self, topic_arn: &str, queue_arn: &str, queue_url: &str) -> bool {
        self.queue_urls.iter().any(|url| url == queue_url)
            && self.resources.iter().any(|pattern| crate::iam::matches(pattern, queue_arn))
            && self
                .topics
                .as_ref()
                .is_none_or(|topics| topics.iter().any(|pattern| crate::iam::matches(pattern, topic_arn)))
    }
}

/// Reads the statements of a queue policy that allow SNS to send.
pub(crate) fn queue_policy(resource: &Resource, scope: &Scope<'_>) -> Vec<QueuePermission> {
    let mut reader = reader(resource, scope);
    let queue_urls = reader.strings("Queues").unwrap_or_default();
    let mut permissions = Vec::new();
    if let Some(mut document) = reader.object("PolicyDocument") {
        for statement in document.objects("Statement").unwrap_or_default() {
            permissions.extend(permission(statement, &queue_urls));
        }
        document.ignore(&["Version", "Id"]);
        document.finish();
    }
    reader.finish();
    permissions
}

fn permission(mut reader: Properties<'_>, queue_urls: &[String]) -> Option<QueuePermission> {
    let effect = reader.required_string("Effect")?;
    let principal = reader.value("Principal").unwrap_or(Value::Null);
    let actions = reader.strings("Action").unwrap_or_default();
    let resources = reader.strings("Resource").unwrap_or_default();
    let condition = reader.value("Condition");
    reader.ignore(&["Sid"]);
    if effect == "Deny" {
        // Denies requests without TLS, which the emulator does not have.
        let insecure =
            condition.as_ref().and_then(|condition| condition.get("Bool")?.get("aws:SecureTransport"));
        if insecure.is_none_or(|value| value.to_string().trim_matches('"') != "false") {
            reader.report("a Deny is only supported for insecure transport (Bool aws:SecureTransport false)");
        }
        reader.finish();
        return None;
    }
    let topics = match condition.map(source_arns) {
        None => None,
        Some(Some(topics)) => Some(topics),
        Some(None) => {
            reader.report_at("Condition", "is not supported; ArnEquals and ArnLike of aws:SourceArn are");
            None
        }
    };
    let for_sns = principal == "*"
        || ["Service", "AWS"].iter().any(|kind| {
            let named = principal.get(kind).unwrap_or(&Value::Null);
            let is_sns = |value: &Value| value == "sns.amazonaws.com" || value == "*";
            is_sns(named) || named.as_array().is_some_and(|list| list.iter().any(is_sns))
        });
    let sends =
        actions.iter().any(|action| crate::iam::matches(&action.to_ascii_lowercase(), "sqs:sendmessage"));
    reader.finish();
    (for_sns && sends).then(|| QueuePermission { queue_urls: queue_urls.to_vec(), resources, topics })
}

/// The topics that a condition on `aws:SourceArn` allows; `None` for an unsupported condition.
fn source_arns(condition: Value) -> Option<Vec<String>> {
    let Value::Object(operators) = condition else { return None };
    let mut arns = Vec::new();
    for (operator, keys) in operators {
        if !["ArnEquals", "ArnLike", "StringEquals", "StringLike"].contains(&operator.as_str()) {
            return None;
        }
        for (key, value) in keys.as_object()? {
            if !key.eq_ignore_ascii_case("aws:SourceArn") {
                return None;
            }
            match value {
                Value::String(arn) => arns.push(arn.clone()),
                Value::Array(list) => {
                    let list: Option<Vec<String>> =
                        list.iter().map(|arn| arn.as_str().map(str::to_owned)).collect();
                    arns.extend(list?);
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
            }
        }
    }
    Some(arns)
}

/// Reports a subscription of a missing topic or queue, or without a queue policy that allows it: AWS would
/// accept it and drop the messages silently.
pub(crate) fn check(
    subscriptions: &[ReadSubscription],
    topics: &[Topic],
    queues: &[Queue],
    permissions: &[QueuePermission],
    aws_endpoint: &str,
    scope: &Scope<'_>,
) {
    for ReadSubscription { at, subscription, dead_letter_arn } in subscriptions {
        let Subscription { topic_arn, queue_arn, .. } = subscription;
        if !topics.iter().any(|topic| arn::topic(&topic.name) == *topic_arn) {
            scope
                .problems
                .report(&at.key("TopicArn"), format!("{topic_arn} is not a topic of this template"));
        }
        let targets = [("Endpoint", Some(queue_arn)), ("RedrivePolicy", dead_letter_arn.as_ref())];
        for (property, target) in targets {
            let Some(target) = target else { continue };
            let Some(queue) = queues.iter().find(|queue| arn::queue(&queue.name) == *target) else {
                let message = format!("{target} is not a queue of this template");
                scope.problems.report(&at.key(property), message);
                continue;
            };
            let url = super::resources::queue_url(aws_endpoint, &queue.name);
            if !permissions.iter().any(|permission| permission.allows(topic_arn, target, &url)) {
                let message = format!(
                    "no AWS::SQS::QueuePolicy allows {topic_arn} to send to {target}; AWS would drop its messages"
                );
                scope.problems.report(at, message);
            }
        }
    }
}

fn reader<'a>(resource: &Resource, scope: &Scope<'a>) -> Properties<'a> {
    let at = resource.at();
    let properties = scope.resolve(&resource.properties, &at).unwrap_or(Value::Null);
    Properties::new(properties, at, scope.problems)
}

//! Topics, queues and dead letters with the guarantees of SNS and SQS: at-least-once delivery in any order, a
//! visibility time-out from the receive on, and a maximum receive count.

use std::collections::BTreeMap;

use erp_local::broker::filter;
use erp_local::deployment::{Deployment, TriggerSource};
use serde_json::{Value, json};

use crate::invocation::Function;

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique id.
    pub id: String,
    /// The body.
    pub body: String,
    /// Visible from this time on, in milliseconds since the start.
    pub visible_at: i64,
    /// Receive count.
    pub receives: u32,
}

impl Message {
    /// Returns the receipt handle of the latest receive.
    pub(crate) fn receipt(&self) -> String {
        format!("{}/{}", self.id, self.receives)
    }
}

/// A queue that triggers a function, with its dead-letter queue.
#[derive(Debug)]
pub struct Queue {
    /// Physical name.
    pub name: String,
    /// The function.
    pub function: Function,
    /// Maximum messages of a batch.
    pub batch: usize,
    /// Visibility time-out, in milliseconds.
    pub visibility: i64,
    /// Maximum receive count.
    pub max_receives: u32,
    /// Messages that were not deleted, visible or not.
    pub messages: Vec<Message>,
    /// Dead letters.
    pub dead: Vec<Message>,
    arn: String,
    dead_letter_queue: String,
}

impl Queue {
    /// Deletes the message of a receipt; an older receipt deletes it, too.
    fn delete(&mut self, receipt: &str) {
        let id = receipt.split('/').next().unwrap_or_default();
        self.messages.retain(|message| message.id != id);
    }

    /// Changes the visibility of the message of a receipt: the latest one, and in flight.
    fn change_visibility(&mut self, receipt: &str, visible_at: i64, now: i64) -> bool {
        let found =
            self.messages.iter_mut().find(|message| message.receipt() == receipt && message.visible_at > now);
        found.map(|message| message.visible_at = visible_at).is_some()
    }
}

/// All topics and queues.
#[derive(Debug)]
pub struct Broker {
    /// The queues.
    pub queues: Vec<Queue>,
    /// Publications of each event, by its id.
    pub published: BTreeMap<String, u32>,
    /// Topic, queue, filter.
    subscriptions: Vec<(String, String, Value)>,
    messages: u64,
}

impl Broker {
    pub(crate) fn new(deployment: &Deployment) -> Self {
        let queue = |trigger: &erp_local::deployment::Trigger| {
            let TriggerSource::Queue { queue_arn, batch_size, .. } = &trigger.source else { return None };
            let target = deployment.functions.iter().find(|found| found.logical_id == trigger.function)?;
            let function = Function::ALL.into_iter().find(|known| known.binary() == target.binary)?;
            let name = queue_arn.rsplit(':').next()?;
            let queue = deployment.queues.iter().find(|queue| queue.name == name)?;
            let redrive: Value = serde_json::from_str(queue.attributes.get("RedrivePolicy")?).ok()?;
            let dead_letter_queue = redrive["deadLetterTargetArn"].as_str()?.rsplit(':').next()?.to_owned();
            let count = &redrive["maxReceiveCount"];
            let max_receives = count
                .as_u64()
                .or_else(|| count.as_str()?.parse().ok())
                .and_then(|n| u32::try_from(n).ok())?;
            let visibility: i64 = queue.attributes.get("VisibilityTimeout")?.parse().ok()?;
            Some(Queue {
                name: name.to_owned(),
                function,
                batch: *batch_size,
                visibility: visibility * 1000,
                max_receives,
                messages: Vec::new(),
                dead: Vec::new(),
                arn: queue_arn.clone(),
                dead_letter_queue,
            })
        };
        let queues: Vec<_> = deployment.triggers.iter().filter_map(queue).collect();
        assert!(!queues.is_empty(), "template.yaml has no queues that drive functions");
        let subscriptions = deployment.subscriptions.iter().map(|subscription| {
            let filter = subscription.attributes.get("FilterPolicy");
            let filter = filter.map_or(json!({}), |text| serde_json::from_str(text).unwrap());
            (subscription.topic_arn.clone(), subscription.queue_arn.clone(), filter)
        });
        let subscriptions = subscriptions.collect();
        Self { queues, published: BTreeMap::new(), subscriptions, messages: 0 }
    }

    /// Publishes an event: one copy per delay for every subscribed queue.
    pub(crate) fn publish(
        &mut self,
        topic: &str,
        body: &str,
        kind: &str,
        now: i64,
        mut copies: impl FnMut() -> Vec<i64>,
    ) {
        let event: Value = serde_json::from_str(body).unwrap();
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        *self.published.entry(id).or_default() += 1;
        let attributes = json!({"type": kind});
        for (subscribed, queue_arn, filter) in &self.subscriptions {
            if subscribed != topic || !filter::matches(filter, &attributes) {
                continue;
            }
            let Some(queue) = self.queues.iter_mut().find(|queue| queue.arn == *queue_arn) else { continue };
            for delay in copies() {
                self.messages += 1;
                let id = format!("m-{}", self.messages);
                let visible_at = now + delay;
                queue.messages.push(Message { id, body: body.to_owned(), visible_at, receives: 0 });
            }
        }
    }

    /// Sends a message to a queue directly.
    pub(crate) fn put(&mut self, queue: usize, body: &str, now: i64) {
        self.messages += 1;
        let id = format!("m-{}", self.messages);
        let queue = &mut self.queues[queue];
        queue.messages.push(Message { id, body: body.to_owned(), visible_at: now, receives: 0 });
    }

    /// Receives up to `limit` visible messages in random order; messages beyond the receive count become dead
    /// letters.
    pub(crate) fn receive(
        &mut self,
        queue: usize,
        limit: usize,
        now: i64,
        random: &mut fastrand::Rng,
    ) -> Vec<Message> {
        let queue = &mut self.queues[queue];
        let mut batch = Vec::new();
        while batch.len() < limit {
            let visible: Vec<usize> = queue
                .messages
                .iter()
                .enumerate()
                .filter_map(|(index, message)| (message.visible_at <= now).then_some(index))
                .collect();
            if visible.is_empty() {
                break;
            }
            let index = visible[random.usize(..visible.len())];
            let message = &mut queue.messages[index];
            message.receives += 1;
            if message.receives > queue.max_receives {
                queue.dead.push(queue.messages.swap_remove(index));
            } else {
                message.visible_at = now + queue.visibility;
                batch.push(message.clone());
            }
        }
        batch
    }

    /// Executes a call of a worker to SQS on the first `limit` entries of a batch, and reports the others as
    /// failed. Returns `None` for a call that SQS would reject.
    pub(crate) fn execute(
        &mut self,
        operation: &str,
        input: &Value,
        limit: usize,
        now: i64,
    ) -> Option<Value> {
        let name = input["QueueUrl"].as_str()?.rsplit('/').next()?;
        if operation == "SendMessage" {
            self.messages += 1;
            let id = format!("m-{}", self.messages);
            let queue = self.queues.iter_mut().find(|queue| queue.dead_letter_queue == name)?;
            let body = input["MessageBody"].as_str()?.to_owned();
            queue.dead.push(Message { id: id.clone(), body, visible_at: now, receives: 0 });
            return Some(json!({ "MessageId": id }));
        }
        let queue = self.queues.iter_mut().find(|queue| queue.name == name)?;
        match operation {
            "DeleteMessage" => {
                queue.delete(input["ReceiptHandle"].as_str()?);
                Some(json!({}))
            }
            "ChangeMessageVisibilityBatch" => {
                let (mut successful, mut failed) = (Vec::new(), Vec::new());
                for (index, entry) in input["Entries"].as_array()?.iter().enumerate() {
                    let visible_at = now + 1000 * entry["VisibilityTimeout"].as_i64()?;
                    let receipt = entry["ReceiptHandle"].as_str()?;
                    if index < limit && queue.change_visibility(receipt, visible_at, now) {
                        successful.push(json!({"Id": entry["Id"]}));
                    } else {
                        let error = json!({"Id": entry["Id"], "Code": "InternalError", "SenderFault": false});
                        failed.push(error);
                    }
                }
                Some(json!({"Successful": successful, "Failed": failed}))
            }
            _ => None,
        }
    }

    /// Deletes the messages of a batch that did not fail.
    pub(crate) fn acknowledge(&mut self, queue: usize, batch: &[Message], failed: impl Fn(&str) -> bool) {
        for message in batch.iter().filter(|message| !failed(&message.id)) {
            self.queues[queue].delete(&message.receipt());
        }
    }

    /// Returns the time at which the next message becomes visible, those in flight included.
    pub(crate) fn next_visible(&self, queue: usize) -> Option<i64> {
        self.queues[queue].messages.iter().map(|message| message.visible_at).min()
    }

    /// Returns whether no message is queued or in flight.
    pub fn is_quiescent(&self) -> bool {
        self.queues.iter().all(|queue| queue.messages.is_empty())
    }

    /// Redrives all dead letters; returns their number.
    pub(crate) fn redrive(&mut self, now: i64) -> usize {
        let mut redriven = 0;
        for queue in &mut self.queues {
            redriven += queue.dead.len();
            let back = queue.dead.drain(..).map(|dead| Message { visible_at: now, receives: 0, ..dead });
            queue.messages.extend(back);
        }
        redriven
    }
}

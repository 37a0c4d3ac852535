//! Events: CloudEvents 1.0, structured JSON (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>).

use std::fmt;
use std::str::FromStr;

use erp_domain::{Invalid, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

macro_rules! kinds {
    ($($variant:ident = $name:literal, $doc:literal;)+) => {
        /// Every kind of event there is. The name is the CloudEvents `type`, and the SNS message attribute that
        /// subscriptions filter by; its first word is the service whose topic carries it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventKind { $(#[doc = $doc] $variant,)+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    CustomerCreated = "contact.customer.created", "A customer was created.";
    CustomerUpdated = "contact.customer.updated", "A customer was changed.";
    CustomerDeleted = "contact.customer.deleted", "A customer was deleted.";
    VendorCreated = "contact.vendor.created", "A vendor was created.";
    VendorUpdated = "contact.vendor.updated", "A vendor was changed.";
    VendorDeleted = "contact.vendor.deleted", "A vendor was deleted.";
    SalesConfirmed = "sales.order.confirmed", "A sale became binding: stock is wanted.";
    SalesPaid = "sales.order.paid", "A sale was paid.";
    SalesCancelled = "sales.order.cancelled", "A sale was given up: what it holds goes back.";
    PurchaseReceived = "purchase.order.received", "A purchase arrived: stock is added.";
    PurchasePaid = "purchase.order.paid", "A purchase was paid.";
    PurchaseCancelled = "purchase.order.cancelled", "A purchase was given up.";
    ItemCreated = "inventory.item.created", "An item was created.";
    ItemUpdated = "inventory.item.updated", "An item was changed.";
    ItemDeleted = "inventory.item.deleted", "An item was deleted.";
    StockAdjusted = "inventory.stock.adjusted", "A person corrected the stock of an item.";
    OrderAllocated = "inventory.order.allocated", "A sale has all it wants.";
    OrderBackordered = "inventory.order.backordered", "A sale waits for stock.";
    OrderReleased = "inventory.order.released", "A cancelled sale holds nothing any more.";
    UserRegistered = "auth.user.registered", "A user was registered.";
    PasswordResetRequested = "auth.password.reset_requested", "Somebody asked to reset a user's password.";
}

impl EventKind {
    /// The service that publishes it: the first word of its name.
    pub fn service(self) -> &'static str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for EventKind {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Invalid::new(format!("is no kind of event: {text}")))
    }
}
impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Who caused an event, and the request to look for in the logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The caller's subject (`Caller::subject`), or the service that acted by itself.
    pub actor: Option<String>,
    /// The id of the request at the API that everything since follows from.
    pub request_id: Option<String>,
}

/// One event in its envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// `1.0`.
    specversion: SpecVersion,
    /// Unique for ever; a delivery that comes twice has the same.
    pub id: Uuid,
    /// Who publishes it, such as `/erp/sales`.
    source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The id of what it happened to.
    pub subject: String,
    /// When it happened.
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    /// Extension attribute: who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Extension attribute: the request that it follows from, across every hop.
    #[serde(rename = "correlationid", default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// What each kind carries: see [`crate::data`]. Kept as text, so that amounts stay as they were written.
    data: Box<RawValue>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

/// A body that is not an event we know.
#[derive(Debug, thiserror::Error)]
#[error("not an event: {0}")]
pub struct EventError(#[from] serde_json::Error);

impl<C> From<EventError> for crate::StoreError<C> {
    fn from(error: EventError) -> Self {
        Self::unavailable(error)
    }
}

impl Event {
    /// Wraps what happened.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON, which only a map with keys that are no text could cause.
    pub fn new<D: Serialize>(
        id: Uuid,
        kind: EventKind,
        subject: impl fmt::Display,
        time: Timestamp,
        cause: &Cause,
        data: &D,
    ) -> Result<Self, EventError> {
        Ok(Self {
            specversion: SpecVersion::V1,
            id,
            source: format!("/erp/{}", kind.service()),
            kind,
            subject: subject.to_string(),
            time,
            datacontenttype: Some("application/json".to_owned()),
            actor: cause.actor.clone(),
            correlation_id: cause.request_id.clone(),
            data: serde_json::value::to_raw_value(data)?,
        })
    }

    /// Reads an event from the body of a message.
    ///
    /// # Errors
    /// When it is not one, or of a kind that is not known.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The event as the body of a message.
    ///
    /// # Errors
    /// Never in practice: everything in it is JSON already.
    pub fn to_json(&self) -> Result<String, EventError> {
        Ok(serde_json::to_string(self)?)
    }

    /// What it carries.
    ///
    /// # Errors
    /// When that does not have the shape of a `D`.
    pub fn data<D: DeserializeOwned>(&self) -> Result<D, EventError> {
        Ok(serde_json::from_str(self.data.get())?)
    }

    /// What it carries, as JSON text.
    pub fn raw_data(&self) -> &RawValue {
        &self.data
    }

    /// The cause to hand on to what follows from this event.
    pub fn cause(&self) -> Cause {
        Cause { actor: self.actor.clone(), request_id: self.correlation_id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_cloud_event_and_keeps_its_amounts() {
        let cause = Cause { actor: None, request_id: Some("r-1".into()) };
        let data = serde_json::json!({"n": 1});
        let time = Timestamp::from_millis(0);
        let event = Event::new(Uuid::nil(), EventKind::SalesConfirmed, "s", time, &cause, &data).unwrap();
        let json = event.to_json().unwrap();
        assert_eq!(
            json,
            r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000000","source":"/erp/sales","type":"sales.order.confirmed","subject":"s","time":"1970-01-01T00:00:00.000Z","datacontenttype":"application/json","correlationid":"r-1","data":{"n":1}}"#
        );
        let kept = json.replace(r#"{"n":1}"#, r#"{"n":90000.00}"#);
        assert_eq!(Event::parse(&kept).unwrap().raw_data().get(), r#"{"n":90000.00}"#);
        assert_eq!(Event::parse(&kept).unwrap().to_json().unwrap(), kept);
    }

    #[test]
    fn what_is_not_an_event_is_refused() {
        for text in ["", "{}", "nonsense", r#"{"specversion":"0.3"}"#] {
            assert!(Event::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }
}

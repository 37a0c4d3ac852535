//! Events: CloudEvents 1.0, structured JSON (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>).

use std::fmt;

use erp_domain::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use uuid::Uuid;

/// The type of an event. Its name is the CloudEvents `type` and the SNS message attribute that subscriptions filter by;
/// the first segment is the context whose topic carries it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Display, EnumString, IntoStaticStr, VariantArray,
)]
pub enum EventKind {
    /// A customer was created.
    #[strum(serialize = "contact.customer.created")]
    CustomerCreated,
    /// A customer was changed.
    #[strum(serialize = "contact.customer.updated")]
    CustomerUpdated,
    /// A customer was deleted.
    #[strum(serialize = "contact.customer.deleted")]
    CustomerDeleted,
    /// A vendor was created.
    #[strum(serialize = "contact.vendor.created")]
    VendorCreated,
    /// A vendor was changed.
    #[strum(serialize = "contact.vendor.updated")]
    VendorUpdated,
    /// A vendor was deleted.
    #[strum(serialize = "contact.vendor.deleted")]
    VendorDeleted,
    /// A sales order was confirmed: inventory allocates stock.
    #[strum(serialize = "sales.order.confirmed")]
    SalesConfirmed,
    /// A sales order was paid.
    #[strum(serialize = "sales.order.paid")]
    SalesPaid,
    /// A sales order was cancelled: inventory releases its allocation.
    #[strum(serialize = "sales.order.cancelled")]
    SalesCancelled,
    /// A purchase order was received: inventory adds its quantities to stock.
    #[strum(serialize = "purchase.order.received")]
    PurchaseReceived,
    /// A purchase order was paid.
    #[strum(serialize = "purchase.order.paid")]
    PurchasePaid,
    /// A purchase order was cancelled.
    #[strum(serialize = "purchase.order.cancelled")]
    PurchaseCancelled,
    /// An item was created.
    #[strum(serialize = "inventory.item.created")]
    ItemCreated,
    /// An item was changed.
    #[strum(serialize = "inventory.item.updated")]
    ItemUpdated,
    /// An item was deleted.
    #[strum(serialize = "inventory.item.deleted")]
    ItemDeleted,
    /// The stock of an item was adjusted by a user.
    #[strum(serialize = "inventory.stock.adjusted")]
    StockAdjusted,
    /// Stock was allocated to a sales order.
    #[strum(serialize = "inventory.order.allocated")]
    OrderAllocated,
    /// A sales order was put into the back-order queue.
    #[strum(serialize = "inventory.order.backordered")]
    OrderBackordered,
    /// The allocation of a cancelled sales order was released.
    #[strum(serialize = "inventory.order.released")]
    OrderReleased,
    /// Orders in the back-order queue of an item were not tried yet: inventory continues after the last one.
    #[strum(serialize = "inventory.backorders.remaining")]
    BackordersRemaining,
    /// A user was registered.
    #[strum(serialize = "auth.user.registered")]
    UserRegistered,
    /// A password reset was requested.
    #[strum(serialize = "auth.password.reset_requested")]
    PasswordResetRequested,
}

impl EventKind {
    /// Returns the name, such as `sales.order.confirmed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the publishing context: the first segment of the name.
    pub fn service(self) -> &'static str {
        let name = self.as_str();
        name.split_once('.').map_or(name, |(service, _)| service)
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| serde::de::Error::custom(format!("unknown event type: {name}")))
    }
}

/// The actor and the request that caused an event, for the log and the order's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// The caller's subject (`Caller::subject`); `None` if no caller is known.
    pub actor: Option<String>,
    /// The id of the API request at the start of the causal chain.
    pub request_id: Option<String>,
}

/// An event in its CloudEvents 1.0 envelope.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = OrderEvent))]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Version of the CloudEvents specification.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "1.0"))]
    specversion: SpecVersion,
    /// Unique; redeliveries of an event have the same id.
    pub id: Uuid,
    /// The publishing context, such as `/erp/sales`.
    source: String,
    /// The event type.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "sales.order.confirmed"))]
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The id of the entity that changed.
    pub subject: String,
    /// When the change happened.
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    /// Extension attribute: the subject of the caller that caused the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Extension attribute: the `X-Request-Id` of the API request at the start of the causal chain.
    #[serde(rename = "correlationid", default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The payload, by type. Kept as text, so that amounts keep their decimals.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    data: Box<RawValue>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

/// The text is not an event of a known type, or its payload has another shape.
#[derive(Debug, thiserror::Error)]
#[error("not an event: {0}")]
pub struct EventError(#[from] serde_json::Error);

impl Event {
    /// Creates an event.
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

    /// Parses the body of a message.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Serialises the event as the body of a message.
    pub fn to_json(&self) -> Result<String, EventError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Deserialises the payload.
    pub fn data<D: DeserializeOwned>(&self) -> Result<D, EventError> {
        Ok(serde_json::from_str(self.data.get())?)
    }

    /// Returns the cause for events that follow from this one.
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
        assert_eq!(Event::parse(&kept).unwrap().data.get(), r#"{"n":90000.00}"#);
        assert_eq!(Event::parse(&kept).unwrap().to_json().unwrap(), kept);
    }

    #[test]
    fn a_message_that_is_not_an_event_is_an_error() {
        for text in ["", "{}", "nonsense", r#"{"specversion":"0.3"}"#] {
            assert!(Event::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn event_types_round_trip() {
        for kind in EventKind::VARIANTS {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }
}

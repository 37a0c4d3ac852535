//! Typed identifiers.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::ValidationError;

/// Marks the id of an item.
pub enum Item {}
/// Marks the id of a sales or purchase order.
pub enum Order {}
/// Marks the id of an order line.
pub enum Line {}
/// Marks the id of a customer or vendor.
pub enum Party {}
/// Marks the id of a user.
pub enum User {}

/// The id of an item.
pub type ItemId = Id<Item>;
/// The id of a sales or purchase order.
pub type OrderId = Id<Order>;
/// The id of an order line.
pub type LineId = Id<Line>;
/// The id of a customer or vendor.
pub type PartyId = Id<Party>;
/// The id of a user.
pub type UserId = Id<User>;

/// The UUID of a `T`. Ids made by the platform have version 7 (RFC 9562), so they sort by creation time.
///
/// Parsing accepts a UUID of any version: an id that does not exist is a 404, not a 400.
pub struct Id<T>(Uuid, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// Wraps a UUID.
    pub const fn new(id: Uuid) -> Self {
        Self(id, PhantomData)
    }

    /// Returns the UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl<T> FromStr for Id<T> {
    type Err = ValidationError;

    /// Parses the hyphenated form only, in any letter case.
    fn from_str(text: &str) -> Result<Self, ValidationError> {
        if text.len() != 36 {
            return Err(ValidationError::new("must be a UUID"));
        }
        Uuid::parse_str(text).map(Self::new).map_err(|_| ValidationError::new("must be a UUID"))
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<T> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "openapi")]
impl<T> utoipa::PartialSchema for Id<T> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let format = Some(SchemaFormat::KnownFormat(KnownFormat::Uuid));
        ObjectBuilder::new().schema_type(Type::String).format(format).into()
    }
}
#[cfg(feature = "openapi")]
impl<T> utoipa::ToSchema for Id<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        "Uuid".into()
    }
}

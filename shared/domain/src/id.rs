//! Typed identifiers.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::ValidationError;

/// Marks the id of an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {}
/// Marks the id of a sales or purchase order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {}
/// Marks the id of an order line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {}
/// Marks the id of a customer or vendor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {}
/// Marks the id of a user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Id<T>(#[serde(with = "uuid::serde::hyphenated")] Uuid, PhantomData<fn() -> T>);

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
        let id: Hyphenated = text.parse().map_err(|_| ValidationError::new("must be a UUID"))?;
        Ok(Self::new(id.into_uuid()))
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

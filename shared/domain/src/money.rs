//! Exact amounts of money.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Quantity, ValidationError};

/// An amount in minor units (cents), never negative.
///
/// Serialised as a JSON number with two decimals (`90000.00`). Parsed from the text of a number or string with at most
/// two decimals, so that no binary fraction is involved. [`Money::MAX`] keeps every amount exact for clients that
/// parse numbers as IEEE 754 doubles.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = f64, minimum = 0, maximum = 9_999_999_999_999.99, example = 1800.00))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// 0.00.
    pub const ZERO: Self = Self(0);
    /// 9,999,999,999,999.99: fifteen digits, which a double holds exactly.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// Creates an amount from minor units: 0 to [`Money::MAX`].
    pub fn from_minor(minor: i64) -> Result<Self, ValidationError> {
        if minor < 0 {
            return Err(ValidationError::new("must not be negative"));
        }
        if minor > Self::MAX.0 {
            return Err(ValidationError::new(format!("must not be more than {}", Self::MAX)));
        }
        Ok(Self(minor))
    }

    /// Returns the amount in minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// Parses a decimal such as `12`, `12.3` or `12.34`: no sign, no exponent, at most two decimals.
    pub fn parse(text: &str) -> Result<Self, ValidationError> {
        if let Some(rest) = text.strip_prefix('-') {
            return Err(match Self::parse(rest) {
                Ok(_) => ValidationError::new("must not be negative"),
                Err(reason) => reason,
            });
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(ValidationError::new(
                "must be an amount such as 12.34: digits with at most two decimals, no exponent",
            ));
        }
        if fraction.len() > 2 {
            return Err(ValidationError::new("must have at most two decimals"));
        }
        // Digits that do not fit are more than the maximum.
        Self::from_minor(format!("{whole}{fraction:0<2}").parse().unwrap_or(i64::MAX))
    }

    /// Adds, or returns `None` if the sum exceeds [`Money::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|minor| Self::from_minor(minor).ok())
    }

    /// Multiplies, or returns `None` if the product exceeds [`Money::MAX`].
    pub fn checked_mul(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(quantity.get()).and_then(|minor| Self::from_minor(minor).ok())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `serde_json` writes f64 90000.0 as `90000.0`; a raw value keeps both decimals.
        let number = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        // A string is taken without its quotes; anything that is not a plain decimal, escapes included, is an error.
        let text = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
        Self::parse(text).map_err(serde::de::Error::custom)
    }
}

/// Stores an amount as a number of minor units (`#[serde(with)]`).
pub mod minor_units {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Money;

    /// Writes the minor units.
    pub fn serialize<S: Serializer>(amount: &Money, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(amount.minor())
    }

    /// Reads the minor units. An amount out of range is an error.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        Money::from_minor(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_from_their_text_and_never_rounded() {
        let ok = [
            ("0", 0),
            ("0.1", 10),
            ("12.34", 1234),
            ("0.00", 0),
            ("007.5", 750),
            ("9999999999999.99", 999_999_999_999_999),
        ];
        for (text, minor) in ok {
            assert_eq!(Money::parse(text).map(Money::minor), Ok(minor), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "0.005",
            "1e3",
            "1E3",
            "+1",
            "-1",
            "-0.01",
            "1,5",
            " 1",
            "NaN",
            "10000000000000",
            "99999999999999999999999",
            "1.2.3",
            "٣",
        ] {
            assert!(Money::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn an_amount_is_written_with_two_decimals() {
        let written = serde_json::to_string(&Money(9_000_000)).unwrap();
        assert_eq!(written, "90000.00");
        assert_eq!(serde_json::from_str::<Money>("\"12.34\"").unwrap(), Money(1234));
        assert_eq!(serde_json::from_str::<Money>(&written).unwrap(), Money(9_000_000));
    }

    #[test]
    fn a_total_that_does_not_fit_is_noticed() {
        let many = Quantity::new(1_000_000_000).unwrap();
        assert_eq!(Money::MAX.checked_mul(many), None);
        assert_eq!(Money::MAX.checked_add(Money(1)), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(minor in 0..=Money::MAX.minor()) {
            let money = Money(minor);
            proptest::prop_assert_eq!(Money::parse(&money.to_string()), Ok(money));
            let json = serde_json::to_string(&money).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), money);
        }

        #[test]
        fn no_text_makes_the_reader_panic_or_round(text in "[-+0-9.eE ]{0,20}") {
            if let Ok(money) = Money::parse(&text) {
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                proptest::prop_assert_eq!(whole.parse::<i64>().unwrap(), money.minor() / 100);
                proptest::prop_assert_eq!(format!("{fraction:0<2}"), format!("{:02}", money.minor() % 100));
            }
        }
    }
}

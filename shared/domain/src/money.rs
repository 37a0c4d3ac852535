//! Exact amounts of money.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{Invalid, LineQuantity};

/// An amount in minor units (cents), never negative.
///
/// On the wire it is a JSON number with two decimals (`90000.00`); it is read from a number or a string of at
/// most two decimals, from its text, so that no binary fraction is ever involved. [`Money::MAX`] keeps every
/// amount exact for clients that read numbers as IEEE 754 doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// 9,999,999,999,999.99: fifteen digits, which a double holds exactly.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// An amount of minor units.
    ///
    /// # Errors
    /// When it is negative or above [`Money::MAX`].
    pub fn from_minor(minor: i64) -> Result<Self, Invalid> {
        if minor < 0 {
            return Err(Invalid::new("must not be negative"));
        }
        if minor > Self::MAX.0 {
            return Err(Invalid::new(format!("must not be more than {}", Self::MAX)));
        }
        Ok(Self(minor))
    }

    /// The amount in minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// Reads a decimal such as `12`, `12.3` or `12.34`.
    ///
    /// # Errors
    /// When there is a sign, an exponent, a third decimal, anything else that is not a digit, or too much.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if let Some(rest) = text.strip_prefix('-') {
            return Err(match Self::parse(rest) {
                Ok(_) => Invalid::new("must not be negative"),
                Err(reason) => reason,
            });
        }
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return Err(Self::not_an_amount()),
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(Self::not_an_amount());
        }
        if fraction.len() > 2 {
            return Err(Invalid::new("must have at most two decimals"));
        }
        let too_much = || Invalid::new(format!("must not be more than {}", Self::MAX));
        let minor: i64 = format!("{whole}{fraction:0<2}").parse().map_err(|_| too_much())?;
        Self::from_minor(minor)
    }

    fn not_an_amount() -> Invalid {
        Invalid::new("must be an amount such as 12.34: digits with at most two decimals, no exponent")
    }

    /// The sum, unless it is above [`Money::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|minor| Self::from_minor(minor).ok())
    }

    /// This amount `quantity` times, unless that is above [`Money::MAX`].
    pub fn checked_mul(self, quantity: LineQuantity) -> Option<Self> {
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
        // The only way to make serde_json write `90000.00` and not `90000.0`.
        let number = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
        Self::parse(text).map_err(serde::de::Error::custom)
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
        let many = LineQuantity::new(1_000_000_000).unwrap();
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

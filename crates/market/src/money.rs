//! Amounts of money, in minor units.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount in minor units of its currency, from 0 to 2⁶³ − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "i64")]
pub struct Cents(i64);

/// A number that is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an amount is not below 0, as {0} is")]
pub struct InvalidCents(i64);

/// A text that is no decimal amount of whole cents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no amount of whole cents: one looks like `12.50`")]
pub struct InvalidDecimal(String);

impl Cents {
    /// Returns the number of minor units.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads a decimal amount of major units, such as `12.5`, exactly; never through a float.
    ///
    /// # Errors
    /// When the text is anything but digits with at most one point, has parts of a cent, or is
    /// too large.
    pub fn from_decimal(text: &str) -> Result<Self, InvalidDecimal> {
        let parse = || {
            let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
            let digits =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // `12.500` is exact; `12.505` is not.
            let cents = part.trim_end_matches('0');
            if !digits(whole) || !digits(part) || cents.len() > 2 {
                return None;
            }
            format!("{whole}{cents:0<2}").parse().ok().map(Self)
        };
        parse().ok_or_else(|| InvalidDecimal(text.chars().take(40).collect()))
    }
}

impl TryFrom<i64> for Cents {
    type Error = InvalidCents;

    fn try_from(amount: i64) -> Result<Self, Self::Error> {
        if amount < 0 {
            return Err(InvalidCents(amount));
        }
        Ok(Self(amount))
    }
}

/// A currency: three capital letters, as in ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A text that names no currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no currency: one is three capital letters, such as `BRL`")]
pub struct InvalidCurrency(String);

impl Currency {
    /// The Brazilian real, which a command means where it names no currency.
    pub const BRL: Self = Self(*b"BRL");

    /// Returns the three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three capital letters are ASCII")
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self::BRL
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(InvalidCurrency(text.chars().take(40).collect())),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_text_becomes_cents_exactly() {
        for (text, cents) in [
            ("0", 0),
            ("0.1", 10),
            ("12.50", 1250),
            ("12.500", 1250),
            ("58.9", 5890),
            ("1009.99", 100_999),
            // No double has this value.
            ("90071992547409.93", 9_007_199_254_740_993),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(Cents::from_decimal(text), Ok(Cents(cents)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_of_whole_cents_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,50",
            "1.2.3",
            "0.125",
            " 1",
            "NaN",
            "92233720368547758.08",
        ] {
            assert!(Cents::from_decimal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("EUR".parse::<Currency>().unwrap().to_string(), "EUR");
        for refused in ["", "eur", "EURO", "E1R", "ÄU"] {
            assert!(refused.parse::<Currency>().is_err(), "{refused}");
        }
    }
}

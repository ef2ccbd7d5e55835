//! Values as the CSV files write them: times, prices and whole numbers.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::Deserialize;

/// A time, written `2017-10-02 10:56:33` and meant as UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Time(pub(super) Timestamp);

/// An amount in cents, written as a decimal text; never passes through a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Cents(pub(super) i64);

/// A whole number, which some versions of the files write as `40.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Whole(pub(super) u32);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        DateTime::strptime("%Y-%m-%d %H:%M:%S", &text)
            .and_then(|time| Offset::UTC.to_timestamp(time))
            .map(Self)
            .map_err(|_| "not a time like 2017-10-02 10:56:33".to_owned())
    }
}

impl TryFrom<String> for Cents {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        market::Cents::from_decimal(&text)
            .map(|cents| Self(cents.get()))
            .map_err(|_| "not an amount with at most two decimals".to_owned())
    }
}

impl TryFrom<String> for Whole {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
        // `parse` would let a plus sign through.
        let digits = whole.bytes().all(|byte| byte.is_ascii_digit());
        let zeros = rest.bytes().all(|digit| digit == b'0');
        (digits && zeros)
            .then(|| whole.parse().ok().map(Self))
            .flatten()
            .ok_or_else(|| "not a whole number".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_become_cents_exactly() {
        let read = |text: &str| Cents::try_from(text.to_owned()).map(|cents| cents.0);
        for (text, cents) in [
            ("58.9", 5890),
            ("199.0", 19900),
            ("17.87", 1787),
            ("0.05", 5),
            ("0", 0),
            ("7", 700),
            ("1.10000", 110),
            ("92233720368547758.07", i64::MAX),
        ] {
            assert_eq!(read(text), Ok(cents), "{text}");
        }
        for text in [
            "", ".", ".5", "1.", "1.999", "-1", "+1.0", "1e3", "1,5", "1.-1", " 1", "1.ü",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("92233720368547758.08").is_err());
    }

    #[test]
    fn times_are_utc_and_checked() {
        let read = |text: &str| Time::try_from(text.to_owned()).map(|time| time.0.to_string());
        assert_eq!(
            read("2016-09-15 12:16:38"),
            Ok("2016-09-15T12:16:38Z".to_owned())
        );
        for text in [
            "",
            "2016-13-01 00:00:00",
            "2016-09-15",
            "2016-02-30 00:00:00",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_may_carry_a_zero_decimal() {
        let read = |text: &str| Whole::try_from(text.to_owned()).map(|whole| whole.0);
        assert_eq!(read("600"), Ok(600));
        assert_eq!(read("40.0"), Ok(40));
        for text in ["40.5", "", "-4", "4294967296", "x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

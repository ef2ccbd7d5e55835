//! Points in time, in whole microseconds.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: microseconds since 1970-01-01T00:00:00Z, from year 0 to year 9999.
///
/// Written as RFC 3339 in UTC with six digits of a second, so that its text sorts as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text or number that is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: one looks like `2026-11-21T20:16:49.123456Z` (RFC 3339)")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    const MICROS_MIN: i64 = -62_167_219_200_000_000;
    const MICROS_MAX: i64 = 253_402_300_799_999_999;

    /// Makes a time of microseconds since 1970.
    ///
    /// # Errors
    /// When it lies outside the years 0 to 9999.
    pub fn from_micros(micros: i64) -> Result<Self, InvalidTimestamp> {
        if (Self::MICROS_MIN..=Self::MICROS_MAX).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(InvalidTimestamp(micros.to_string()))
        }
    }

    /// Returns the microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns the month in UTC as `2018-01`.
    pub fn month(self) -> String {
        let (year, month, _) = civil(self.0.div_euclid(86_400_000_000));
        format!("{year:04}-{month:02}")
    }
}

/// Days since 1970 to (year, month, day), after Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

impl Timestamp {
    /// Writes the text, digit by digit: every event carries several, and the formatting of numbers
    /// takes twenty times as long.
    fn text(self) -> [u8; 27] {
        let (days, rest) = (
            self.0.div_euclid(86_400_000_000),
            self.0.rem_euclid(86_400_000_000),
        );
        let (year, month, day) = civil(days);
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |at: std::ops::Range<usize>, mut number: i64| {
            for digit in text[at].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0..4, year);
        put(5..7, month);
        put(8..10, day);
        put(11..13, seconds / 3600);
        put(14..16, seconds / 60 % 60);
        put(17..19, seconds % 60);
        put(20..26, micros);
        text
    }
}

/// Returns what [`Timestamp::text`] wrote.
fn ascii(text: &[u8; 27]) -> &str {
    std::str::from_utf8(text).expect("digits are ASCII")
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ascii(&self.text()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(ascii(&self.text()))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as `2026-11-21T20:16:49.123456Z`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTimestamp(text.into());
        let time: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        Self::from_micros(time.as_microsecond()).map_err(|_| invalid())
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        let micros = match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(Self::MICROS_MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Self(micros.clamp(Self::MICROS_MIN, Self::MICROS_MAX))
    }
}

/// The text form; schemas show it in place, since it is no shape of its own.
impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_six_digits_and_read_in_any_offset() {
        let time: Timestamp = "2018-01-31T22:30:00.5-03:00".parse().unwrap();
        assert_eq!(time.to_string(), "2018-02-01T01:30:00.500000Z");
        assert_eq!(time.month(), "2018-02");
        assert_eq!(
            Timestamp(Timestamp::MICROS_MIN).to_string(),
            "0000-01-01T00:00:00.000000Z"
        );
        assert_eq!(
            Timestamp(Timestamp::MICROS_MAX).to_string(),
            "9999-12-31T23:59:59.999999Z"
        );
        assert_eq!(
            "1969-12-31T23:59:59.999999Z"
                .parse::<Timestamp>()
                .unwrap()
                .micros(),
            -1
        );
        assert!("2018-01-31".parse::<Timestamp>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn text_and_back_is_the_same(micros in Timestamp::MICROS_MIN..=Timestamp::MICROS_MAX) {
            let time = Timestamp::from_micros(micros).unwrap();
            proptest::prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}

//! Opens the data set's files, packed or not, and reads their rows; says where one is damaged.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::{ErrorKind, Reader, StringRecord};
use flate2::read::MultiGzDecoder;
use serde::Deserializer;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};

/// Why the data set cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    /// A file is not there, or cannot be opened.
    #[error(
        "cannot open {name}.csv or {name}.csv.gz in {dir}; the directory has to hold the CSV \
         files of the Olist data set",
        dir = dir.display()
    )]
    Missing {
        name: &'static str,
        dir: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A row says what cannot be.
    #[error("{file}, line {line}: {trouble}")]
    Damaged {
        file: String,
        line: u64,
        trouble: String,
    },
}

/// Reads `name`.csv or `name`.csv.gz in `dir` and hands every row to `take`.
///
/// What `take` says against a row is reported with the place of the row.
pub(super) fn each_row<T: DeserializeOwned>(
    dir: &Path,
    name: &'static str,
    mut take: impl FnMut(T) -> Result<(), String>,
) -> Result<(), DataError> {
    let (file, input) = open(dir, name)?;
    let mut reader = Reader::from_reader(input);
    let damaged = |line, trouble| DataError::Damaged {
        file: file.clone(),
        line,
        trouble,
    };
    let header = reader
        .headers()
        .map_err(|error| damaged(1, error.to_string()))?
        .clone();
    let mut record = StringRecord::new();
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                let line = error.position().unwrap_or(reader.position()).line();
                return Err(damaged(line, explain(&error)));
            }
        }
        let taken = deserialize(&header, &record).and_then(&mut take);
        if let Err(trouble) = taken {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(damaged(line, trouble));
        }
    }
}

fn open(dir: &Path, name: &'static str) -> Result<(String, Box<dyn Read>), DataError> {
    let packed = format!("{name}.csv.gz");
    if let Ok(input) = File::open(dir.join(&packed)) {
        return Ok((packed, Box::new(MultiGzDecoder::new(input))));
    }
    let plain = format!("{name}.csv");
    match File::open(dir.join(&plain)) {
        Ok(input) => Ok((plain, Box::new(input))),
        Err(source) => Err(DataError::Missing {
            name,
            dir: dir.to_owned(),
            source,
        }),
    }
}

/// The trouble without the place, which is told in the same words for every trouble.
fn explain(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("the row has {len} fields, the header {expected_len}")
        }
        ErrorKind::Utf8 { err, .. } => format!("field {} is not UTF-8", err.field() + 1),
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    }
}

/// Reads a row by the names in the header; unlike the `csv` crate's own way, an error knows its
/// column.
fn deserialize<T: DeserializeOwned>(
    header: &StringRecord,
    record: &StringRecord,
) -> Result<T, String> {
    let fields = header.iter().zip(record.iter().map(Field));
    serde_path_to_error::deserialize(MapDeserializer::new(fields)).map_err(|error| {
        let column = error.path().to_string();
        match header.iter().position(|name| name == column) {
            Some(at) => format!("{column} `{}`: {}", &record[at], error.inner()),
            None => error.inner().to_string(),
        }
    })
}

/// One field of a row; an empty one is `None` where that is possible.
struct Field<'a>(&'a str);

impl<'de> IntoDeserializer<'de> for Field<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Field<'de> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_empty() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

//! The given/when/then kit of read models: what rows come of what happened.
//!
//! ```text
//! spec(&model, &catalog)
//!     .given([
//!         happened("order.placed.v1", json!({ "order_id": ORDER, … })),
//!         happened("order.shipped.v1", json!({ "order_id": ORDER, … })).at("2018-02-01T00:00:00Z"),
//!     ])
//!     .row(json!({ "order_id": ORDER }))
//!     .then(json!({ "status": "shipped" }));
//! ```

use std::{collections::BTreeMap, fmt::Write as _};

use foldline_kernel::{
    CommandId, Context, Epoch, EventId, LaneSequence, Sequence, Timestamp, UserId, Version,
    spec::USER,
};
use foldline_schema::{Catalog, CommandPart, Event, NewEvent, Stamp, command_hash, encode};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{Model, PlainFold, Value};

/// Says that something happened, to [`USER`] and in July 2017 unless told otherwise.
pub fn happened(type_name: &str, data: Json) -> Happened {
    Happened {
        type_name: type_name.into(),
        user: USER,
        time: Timestamp::from_micros(1_500_000_000_000_000).expect("a time in 2017 is a time"),
        data,
    }
}

/// Something that happened, before it has a place in a log.
#[derive(Clone, Debug)]
#[must_use]
pub struct Happened {
    type_name: String,
    user: UserId,
    time: Timestamp,
    data: Json,
}

impl Happened {
    /// Sets to whom it happened.
    pub fn by(mut self, user: UserId) -> Self {
        self.user = user;
        self
    }

    /// Sets when it happened.
    ///
    /// # Panics
    /// When `time` is no RFC 3339 time.
    #[track_caller]
    pub fn at(mut self, time: &str) -> Self {
        self.time = time.parse().expect("a spec gives times as RFC 3339");
        self
    }
}

/// Gives what happened its place in a log of one lane: gapless sequences of both kinds, from 1.
#[derive(Debug)]
pub struct Recorder<'a> {
    catalog: &'a Catalog,
    lane_sequence: LaneSequence,
    sequences: BTreeMap<Context, Sequence>,
    versions: BTreeMap<(Context, UserId), Version>,
}

impl<'a> Recorder<'a> {
    /// Begins with an empty log; the catalog says which context a type belongs to.
    pub fn new(catalog: &'a Catalog) -> Self {
        Self {
            catalog,
            lane_sequence: LaneSequence::ZERO,
            sequences: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }

    /// Records one event.
    ///
    /// # Panics
    /// When the catalog does not know the type.
    #[track_caller]
    pub fn record(&mut self, happened: Happened) -> Event {
        let Happened {
            type_name,
            user,
            time,
            data,
        } = happened;
        let Some(stored) = self.catalog.get(&type_name) else {
            panic!("there is no event type `{type_name}`");
        };
        let context = stored.context.clone();
        let sequence = self.sequences.entry(context.clone()).or_default();
        let version = self.versions.entry((context.clone(), user)).or_default();
        self.lane_sequence = self.lane_sequence.next();
        (*sequence, *version) = (sequence.next(), version.next());
        let id = Uuid::from_u128(u128::from(self.lane_sequence.0));
        let stamp = Stamp {
            sequence: *sequence,
            lane_sequence: self.lane_sequence,
            epoch: Epoch(1),
        };
        let new = NewEvent {
            id: EventId(id),
            type_name: type_name.into(),
            stream_version: *version,
            command_id: CommandId::minted(id),
            command_hash: command_hash(&context, "spec", b""),
            command_part: CommandPart { part: 1, of: 1 },
            context,
            subject: user,
            time,
            actor: None,
            causation_id: None,
            correlation_id: None,
            extensions: Map::new(),
            data: data.to_string().into(),
        };
        let log_name = "spec".parse().expect("`spec` names a log");
        encode(&log_name, new, stamp)
    }
}

/// Starts a spec of a read model.
pub fn spec<'a>(model: &'a Model, catalog: &'a Catalog) -> Spec<'a> {
    Spec { model, catalog }
}

/// A spec of which nothing has happened yet.
#[derive(Debug)]
#[must_use]
pub struct Spec<'a> {
    model: &'a Model,
    catalog: &'a Catalog,
}

impl<'a> Spec<'a> {
    /// Folds what happened, in this order.
    ///
    /// # Panics
    /// When an event is of no known type.
    #[track_caller]
    pub fn given(self, events: impl IntoIterator<Item = Happened>) -> Given<'a> {
        let mut recorder = Recorder::new(self.catalog);
        let mut fold = PlainFold::new(self.model, self.catalog);
        for event in events {
            let event = recorder.record(event);
            fold.apply(&event).expect("the recorder knows every type");
        }
        Given {
            model: self.model,
            fold,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Given<'a> {
    model: &'a Model,
    fold: PlainFold<'a>,
}

impl Given<'_> {
    /// Looks for the one row with these columns, such as its key.
    #[track_caller]
    pub fn row(&self, columns: Json) -> Row<'_> {
        let mut rows = self.rows();
        rows.retain(|row| differences(row, &columns).is_empty());
        assert!(
            rows.len() < 2,
            "several rows have {columns}:\n{}",
            self.shown()
        );
        Row {
            given: self,
            row: rows.pop(),
        }
    }

    /// Asserts how many rows show.
    #[track_caller]
    pub fn then_rows(&self, count: usize) -> &Self {
        assert_eq!(self.rows().len(), count, "rows:\n{}", self.shown());
        self
    }

    /// Asserts that a user is parked for a reason with these words in it.
    #[track_caller]
    pub fn then_parked(&self, user: UserId, reason: &str) -> &Self {
        match self.fold.parked().get(&user) {
            Some(parked) => assert!(parked.reason.contains(reason), "{}", parked.reason),
            None => panic!("{user} is not parked; rows:\n{}", self.shown()),
        }
        self
    }

    /// Asserts that nobody is parked.
    #[track_caller]
    pub fn then_nobody_is_parked(&self) -> &Self {
        assert!(self.fold.parked().is_empty(), "{:?}", self.fold.parked());
        self
    }

    /// The rows as clients would see them, without what `present` hides.
    fn rows(&self) -> Vec<Json> {
        let shows = |values: &[Value]| {
            let present = self.model.present;
            present.is_none_or(|column| !values[column - self.model.key_length].is_null())
        };
        let rows = self.fold.rows().iter();
        rows.filter(|(_, values)| shows(values))
            .map(|(key, values)| {
                let columns = self.model.columns.iter().zip(key.iter().chain(values));
                let visible = columns.filter(|(column, _)| !column.is_hidden());
                visible
                    .map(|(column, value)| (column.name.to_string(), value.to_json()))
                    .collect()
            })
            .collect()
    }

    fn shown(&self) -> String {
        let mut text = String::new();
        for row in self.rows() {
            writeln!(text, "  {row}").expect("writing to memory does not fail");
        }
        for (user, parked) in self.fold.parked() {
            writeln!(text, "  parked: {user}: {}", parked.reason)
                .expect("writing to memory does not fail");
        }
        text
    }
}

/// The row that was looked for, if there is one.
#[derive(Debug)]
#[must_use]
pub struct Row<'g> {
    given: &'g Given<'g>,
    row: Option<Json>,
}

impl<'g> Row<'g> {
    /// Asserts that the row is there and has these values in the columns that are named.
    #[track_caller]
    pub fn then(self, columns: Json) -> &'g Given<'g> {
        let Some(row) = &self.row else {
            panic!("there is no such row:\n{}", self.given.shown());
        };
        let differences = differences(row, &columns);
        assert!(
            differences.is_empty(),
            "{}\nin the row {row}",
            differences.join("\n")
        );
        self.given
    }

    /// Asserts that there is no such row.
    #[track_caller]
    pub fn then_nothing(self) -> &'g Given<'g> {
        assert!(self.row.is_none(), "there is a row: {:?}", self.row);
        self.given
    }
}

fn differences(row: &Json, expected: &Json) -> Vec<String> {
    let expected = expected.as_object().into_iter().flatten();
    expected
        .filter(|(column, value)| row.get(column) != Some(value))
        .map(|(column, value)| match row.get(column) {
            Some(actual) => format!("`{column}` is {actual}, expected {value}"),
            None => format!("there is no column `{column}`"),
        })
        .collect()
}

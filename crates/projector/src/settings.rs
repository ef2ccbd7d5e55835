//! Every bound of the projectors, by name.

use std::time::Duration;

/// How much is taken at once, how long is waited, and what stops a read model.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many events of a lane are folded before they are passed on.
    pub chunk_events_max: usize,
    /// How many events one commit of a generation that keeps up takes at most.
    pub batch_events_max: usize,
    /// How many events one commit takes at most while a generation is loaded.
    pub load_events_max: usize,
    /// How many bytes of rows, roughly counted, one commit writes at most.
    pub batch_bytes_max: usize,
    /// How long a generation rests after a commit at most, so that the next one is worth it. It
    /// rests twice as long as the commit took: a lone event is committed at once, and under load
    /// the stores have two thirds of their time for others.
    pub rest_max: Duration,
    /// How long a generation that is loaded waits for a fuller batch.
    pub load_patience: Duration,
    /// How many events a generation may be behind when its loading ends.
    pub near_events: u64,
    /// How long the serving generation's commits are held back for a switch at most.
    pub hold_max: Duration,
    /// How many users a generation holds back before it stops.
    pub parked_max: usize,
    /// The longest pause before a store or the log is tried again.
    pub retry_max: Duration,
    /// How often a projector that was fenced looks whether the other one still moves the
    /// checkpoint.
    pub step_down: Duration,
    /// How often it is looked how far other processes have come with the lanes that are theirs.
    pub others_every: Duration,
    /// How often the registry is read again, since other processes may have switched.
    pub registry_every: Duration,
    /// How often a lane on which nothing comes for a model of one context is looked at.
    pub idle_look_every: Duration,
    /// How many events of other contexts make it worth a commit to move such a place on.
    pub idle_events_min: u64,
    /// How often lag and metrics are taken.
    pub sample_every: Duration,
    /// How many rows one pass of a verification is meant to hold in memory. It may hold twice as
    /// many before the rows are cut into more passes.
    pub verify_rows_max: u64,
    /// Takes what the log yields for whole, without checking its sequences again. Only for tests
    /// that show what `verify` finds when a projector was fed wrongly.
    pub trust_input: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chunk_events_max: 512,
            batch_events_max: 4_096,
            load_events_max: 262_144,
            batch_bytes_max: 64 << 20,
            rest_max: Duration::from_millis(5),
            load_patience: Duration::from_millis(15),
            near_events: 10_000,
            hold_max: Duration::from_secs(2),
            parked_max: 1_000,
            retry_max: Duration::from_secs(5),
            step_down: Duration::from_millis(500),
            others_every: Duration::from_millis(250),
            registry_every: Duration::from_secs(2),
            idle_look_every: Duration::from_secs(5),
            idle_events_min: 4_096,
            sample_every: Duration::from_millis(100),
            verify_rows_max: 1_000_000,
            trust_input: false,
        }
    }
}

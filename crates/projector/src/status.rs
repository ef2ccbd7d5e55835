//! What `views` shows of every read model.

use foldline_kernel::{Checkpoint, Context, Lane, LaneSequence, Sequence};
use foldline_tables::{GenerationNumber, GenerationState, Parked};
use serde::Serialize;

/// One read model and its generations.
#[derive(Clone, Debug, Serialize)]
pub struct ViewStatus {
    /// The read model.
    pub name: String,
    /// The revision of the current definition, which may still be being built.
    pub revision: String,
    /// How many rows the serving generation shows; none where nothing serves or it cannot be read.
    pub rows: Option<u64>,
    /// How many events of its contexts the serving generation has not absorbed, as of now.
    pub events_behind: u64,
    /// How old the oldest event is that the serving generation lacks, 0 where it lacks none; none
    /// where that is not known (yet).
    pub lag_seconds: Option<f64>,
    /// The users that the serving generation holds back.
    pub parked: Vec<Parked>,
    /// What keeps the read model from being looked after, such as a registry out of reach.
    pub trouble: Option<String>,
    /// Every generation, oldest first.
    pub generations: Vec<GenerationStatus>,
}

impl ViewStatus {
    /// Returns the generation that serves.
    pub fn serving(&self) -> Option<&GenerationStatus> {
        let mut generations = self.generations.iter();
        generations.find(|generation| generation.state == GenerationState::Serving)
    }

    /// Tells whether it serves and follows every lane; the error says what is wrong.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn ready(&self) -> Result<(), String> {
        let name = &self.name;
        if let Some(trouble) = &self.trouble {
            return Err(format!("`{name}` is not looked after: {trouble}"));
        }
        let Some(serving) = self.serving() else {
            let first = self.generations.first();
            let trouble = first.and_then(GenerationStatus::trouble);
            let trouble = trouble.unwrap_or_else(|| "its first generation is being built".into());
            return Err(format!("`{name}` does not serve yet: {trouble}"));
        };
        if let Some(stopped) = serving.stopped_lanes.first() {
            let StoppedLane { lane, reason } = stopped;
            return Err(format!("`{name}` has stopped on lane {lane}: {reason}"));
        }
        match (serving.status, &serving.trouble) {
            (Doing::Following | Doing::StandingBy | Doing::Loading | Doing::Indexing, _) => Ok(()),
            (doing, Some(trouble)) => Err(format!("`{name}` is {doing}: {trouble}")),
            (doing, None) => Err(format!("`{name}` is {doing}")),
        }
    }
}

/// One generation.
#[derive(Clone, Debug, Serialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: GenerationNumber,
    /// Whether it serves.
    pub state: GenerationState,
    /// The revision it is built by.
    pub revision: String,
    /// What its projector is doing.
    pub status: Doing,
    /// What is in the way, or why it stopped.
    pub trouble: Option<String>,
    /// Lanes that yield nothing more, and why.
    pub stopped_lanes: Vec<StoppedLane>,
    /// How often another projector was at work here.
    pub stepped_down: u64,
    /// The lanes that this process follows; where several share them, others follow the rest.
    pub lanes: Vec<Lane>,
    /// How far it has come in each lane, whoever follows it.
    pub checkpoints: Vec<LaneCheckpoint>,
    /// How many events of its contexts it has not absorbed, as of now.
    pub events_behind: u64,
    /// How old the oldest event is that it lacks, 0 where it lacks none; none where that is not
    /// known (yet).
    pub lag_seconds: Option<f64>,
    /// How many rows show; none where it cannot be read.
    pub rows: Option<u64>,
    /// How many users it holds back.
    pub parked_users: usize,
    /// The users it holds back.
    pub parked: Vec<Parked>,
}

impl GenerationStatus {
    /// Returns what is in the way of the whole, or of some lane.
    fn trouble(&self) -> Option<String> {
        let StoppedLane { lane, reason } = match (&self.trouble, self.stopped_lanes.first()) {
            (None, Some(stopped)) => stopped,
            (trouble, _) => return trouble.clone(),
        };
        Some(format!("lane {lane} has stopped: {reason}"))
    }
}

/// The place of a generation in one lane.
#[derive(Clone, Debug, Serialize)]
pub struct LaneCheckpoint {
    /// The lane.
    pub lane: Lane,
    /// The last lane sequence absorbed.
    pub lane_sequence: LaneSequence,
    /// The last sequence absorbed of each context.
    pub sequences: std::collections::BTreeMap<String, Sequence>,
}

impl From<&Checkpoint> for LaneCheckpoint {
    fn from(at: &Checkpoint) -> Self {
        let by_name = |(context, sequence): &(Context, Sequence)| (context.to_string(), *sequence);
        Self {
            lane: at.lane,
            lane_sequence: at.lane_sequence,
            sequences: at.sequences.iter().map(by_name).collect(),
        }
    }
}

/// A lane that a generation cannot read any further.
#[derive(Clone, Debug, Serialize)]
pub struct StoppedLane {
    /// The lane.
    pub lane: Lane,
    /// Where it stopped, and why.
    pub reason: String,
}

/// What the projector of a generation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// It reads what has been absorbed.
    Starting,
    /// It loads the log in bulk.
    Loading,
    /// It makes the indexes.
    Indexing,
    /// It follows the tail of the log, or is on the way there.
    Following,
    /// Another projector is at work on the same generation.
    StandingBy,
    /// Something is out of reach; it tries again.
    Retrying,
    /// It does not go on by itself.
    Stopped,
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Indexing => "indexing",
            Self::Following => "following",
            Self::StandingBy => "standing by",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
        })
    }
}

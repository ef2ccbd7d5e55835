//! Which generations there are, and which of them serves.
//!
//! All that is said of one read model lies in one partition, and which generation serves is one
//! cell of it: who reads sees one serve at every moment. Whoever changes it takes a [`Turn`]. Each
//! switch writes at the number of switches before it plus one, so that a late one loses.

use foldline_kernel::LogId;
use foldline_read_model::{Model, Revision};
use scylla::value::CqlValue;

use super::{
    absorbed, number,
    schema::{self, Layout},
    session::{Cells, Sight, Store, text},
    trouble::{Fault, Subject},
    turn::Turn,
};
use crate::{Generation, GenerationNumber, GenerationState, SwitchError, TableError};

/// Later than everything that is written of a generation, and not in the future.
const LAST_TIMESTAMP: i64 = 1 << 50;

/// What the registry says of one read model.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) generations: Vec<Generation>,
    /// The last number given.
    last: i32,
    /// How many switches there were.
    switches: i64,
}

impl Listed {
    pub(crate) fn find(&self, number: GenerationNumber) -> Option<&Generation> {
        self.generations.iter().find(|known| known.number == number)
    }

    fn serving(&self) -> Option<GenerationNumber> {
        let mut generations = self.generations.iter();
        let serving = generations.find(|known| known.state == GenerationState::Serving);
        serving.map(|known| known.number)
    }
}

/// Lists the generations of a model, oldest first.
pub(crate) async fn list(store: &Store, model: &str) -> Result<Listed, Fault> {
    let statement = format!(
        "SELECT number, revision, definition, log_id, served, last, switches, serving \
         FROM {} WHERE model = ?",
        store.table("foldline_generations")
    );
    let rows = store.rows(&statement, &[text(model)], Sight::Fresh).await?;
    let mut listed = Listed::default();
    for row in rows {
        let shown = format!("{row:?} is no generation");
        take(&mut listed, model, row).ok_or(Fault::Broken(shown))?;
    }
    Ok(listed)
}

fn take(listed: &mut Listed, model: &str, row: Cells) -> Option<()> {
    let [
        number,
        revision,
        definition,
        log_id,
        served,
        last,
        switches,
        serving,
    ] = <[_; 8]>::try_from(row).ok()?;
    if let Some(CqlValue::Int(last)) = last {
        listed.last = last;
    }
    if let Some(CqlValue::BigInt(switches)) = switches {
        listed.switches = switches;
    }
    // Where all generations have been retired, there is only what is said of the model.
    let Some(CqlValue::Int(this)) = number else {
        return Some(());
    };
    let (Some(CqlValue::Text(revision)), Some(CqlValue::Text(definition))) = (revision, definition)
    else {
        return None;
    };
    let Some(CqlValue::Blob(log_id)) = log_id else {
        return None;
    };
    let state = match (serving, served) {
        (Some(CqlValue::Int(serving)), _) if serving == this => GenerationState::Serving,
        (_, Some(CqlValue::Boolean(true))) => GenerationState::Previous,
        _ => GenerationState::Building,
    };
    listed.generations.push(Generation {
        model: model.to_owned(),
        number: GenerationNumber(u32::try_from(this).ok()?),
        revision: Revision(revision),
        definition,
        log_id: LogId(uuid::Uuid::from_slice(&log_id).ok()?),
        state,
    });
    Some(())
}

/// Makes a generation: its table first, so that whoever finds it in the registry finds that too.
pub(crate) async fn create(
    store: &Store,
    model: &Model,
    log_id: LogId,
) -> Result<Generation, TableError> {
    let told = |fault: Fault| fault.told(format!("create a generation of {}", model.name));
    let turn = Turn::take(store, &model.name).await.map_err(told)?;
    let created = create_in(store, model, log_id, &turn).await;
    turn.end().await;
    created.map_err(told)
}

async fn create_in(
    store: &Store,
    model: &Model,
    log_id: LogId,
    turn: &Turn<'_>,
) -> Result<Generation, Fault> {
    let listed = list(store, &model.name).await?;
    sweep(store, &model.name, &listed).await?;
    let next = listed.last + 1;
    let generation = GenerationNumber(next.unsigned_abs());
    let table = store.table(&schema::table_name(&model.name, generation));
    let layout = Layout::new(model, table);
    store.change(&layout.create(model, store.flavour)).await?;
    in_time(turn)?;
    let statement = format!(
        "INSERT INTO {} (model, number, revision, definition, log_id, last) \
         VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
        store.table("foldline_generations")
    );
    let values = vec![
        text(&model.name),
        number(generation),
        text(&model.revision.0),
        text(&model.definition),
        CqlValue::Blob(log_id.0.as_bytes().to_vec()),
        CqlValue::Int(next),
        CqlValue::BigInt(next.into()),
    ];
    store.put(&statement, values).await?;
    Ok(Generation {
        model: model.name.to_string(),
        number: generation,
        revision: model.revision.clone(),
        definition: model.definition.to_string(),
        log_id,
        state: GenerationState::Building,
    })
}

/// Drops tables that a crash left without a generation. Nobody else is making one: it is our turn.
async fn sweep(store: &Store, model: &str, listed: &Listed) -> Result<(), Fault> {
    for name in store.tables().await? {
        let number = name
            .strip_prefix(model)
            .and_then(|rest| rest.strip_prefix("_g"));
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            continue;
        };
        if listed.find(GenerationNumber(number)).is_none() {
            drop_table(store, &name).await?;
        }
    }
    Ok(())
}

async fn drop_table(store: &Store, name: &str) -> Result<(), Fault> {
    store
        .change(&format!("DROP TABLE IF EXISTS {}", store.table(name)))
        .await
}

fn in_time(turn: &Turn<'_>) -> Result<(), Fault> {
    if turn.is_good() {
        return Ok(());
    }
    Err(Fault::Unreached(
        "the cluster took too long for one turn".into(),
    ))
}

/// Makes a generation serve in place of the one that does, if that is still the expected one.
pub(crate) async fn switch(
    store: &Store,
    subject: &Subject,
    from: Option<GenerationNumber>,
) -> Result<(), SwitchError> {
    let told = |fault| SwitchError::from(subject.error("switch to", fault));
    let turn = Turn::take(store, &subject.model).await.map_err(told)?;
    let switched = switch_in(store, subject, from, &turn).await;
    turn.end().await;
    switched
}

async fn switch_in(
    store: &Store,
    subject: &Subject,
    from: Option<GenerationNumber>,
    turn: &Turn<'_>,
) -> Result<(), SwitchError> {
    let told = |fault| SwitchError::from(subject.error("switch to", fault));
    let listed = list(store, &subject.model).await.map_err(told)?;
    if listed.find(subject.number).is_none() {
        return Err(subject.gone().into());
    }
    let serving = listed.serving();
    if serving == Some(subject.number) {
        return Ok(());
    }
    if serving != from {
        return Err(SwitchError::Overtaken {
            model: subject.model.clone(),
            serving,
        });
    }
    in_time(turn).map_err(told)?;
    let switches = listed.switches + 1;
    let statement = format!(
        "INSERT INTO {} (model, number, served, serving, switches) VALUES (?, ?, true, ?, ?) \
         USING TIMESTAMP ?",
        store.table("foldline_generations")
    );
    let values = vec![
        text(&subject.model),
        number(subject.number),
        number(subject.number),
        CqlValue::BigInt(switches),
        CqlValue::BigInt(switches),
    ];
    let written = store.put(&statement, values).await;
    written.map_err(|fault| SwitchError::Unknown {
        model: subject.model.clone(),
        source: fault.source(),
    })
}

/// Removes a generation that does not serve: first from the registry, so that nobody finds it any
/// more, then its table.
pub(crate) async fn retire(store: &Store, subject: &Subject) -> Result<(), TableError> {
    let told = |fault| subject.error("retire", fault);
    let turn = Turn::take(store, &subject.model).await.map_err(told)?;
    let retired = retire_in(store, subject, &turn).await;
    turn.end().await;
    retired
}

async fn retire_in(store: &Store, subject: &Subject, turn: &Turn<'_>) -> Result<(), TableError> {
    let told = |fault| subject.error("retire", fault);
    let listed = list(store, &subject.model).await.map_err(told)?;
    match listed.find(subject.number).map(|known| known.state) {
        None => return Err(subject.gone()),
        Some(GenerationState::Serving) => {
            return Err(TableError::Serves {
                model: subject.model.clone(),
                generation: subject.number,
            });
        }
        Some(GenerationState::Building | GenerationState::Previous) => {}
    }
    in_time(turn).map_err(told)?;
    let statement = format!(
        "DELETE FROM {} USING TIMESTAMP ? WHERE model = ? AND number = ?",
        store.table("foldline_generations")
    );
    let values = vec![
        CqlValue::BigInt(LAST_TIMESTAMP),
        text(&subject.model),
        number(subject.number),
    ];
    store.put(&statement, values).await.map_err(told)?;
    absorbed::retire(store, subject).await.map_err(told)?;
    let name = schema::table_name(&subject.model, subject.number);
    drop_table(store, &name).await.map_err(told)
}

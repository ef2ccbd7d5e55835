//! Loading definitions from texts and from a directory.

use std::path::Path;

use foldline_schema::Catalog;

use crate::{
    Model,
    check::check,
    definition::read,
    trouble::{LoadError, LoadErrors, Troubles},
};

/// The largest file, in bytes; a definition is written by hand.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Reads and checks one definition. `file_name` is how troubles name it; where it ends in
/// `{something}.toml`, the model must have that name.
///
/// # Errors
/// Everything that is wrong with it, each with its place and a way out.
pub fn load_str(file_name: &str, text: &str, catalog: &Catalog) -> Result<Model, LoadErrors> {
    if text.len() > FILE_BYTES_MAX {
        let trouble = format!("a definition has at most {FILE_BYTES_MAX} bytes");
        return Err(whole_file(file_name, trouble));
    }
    let mut troubles = Troubles::new(file_name, text);
    let model = read(text, &mut troubles).and_then(|definition| {
        let name = definition.name.get_ref();
        let file = Path::new(file_name);
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        if file.extension().is_some_and(|end| end == "toml")
            && let Some(stem) = stem.filter(|stem| *stem != name)
        {
            let trouble = format!("the read model `{name}` is in a file called `{stem}.toml`");
            let help = format!("call both the same: name = \"{stem}\", or {name}.toml");
            troubles.add(definition.name.span(), trouble, help);
        }
        check(&definition, catalog, &mut troubles)
    });
    match model {
        Some(model) if troubles.is_empty() => Ok(Model {
            definition: text.into(),
            ..model
        }),
        _ => Err(troubles.into_errors()),
    }
}

/// Reads and checks every `*.toml` of a directory, in the order of their names.
///
/// # Errors
/// Everything that is wrong with any of them; also when the directory or a file cannot be read.
pub fn load_dir(directory: &Path, catalog: &Catalog) -> Result<Vec<Model>, LoadErrors> {
    let shown = directory.display().to_string();
    let entries = std::fs::read_dir(directory)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| whole_file(&shown, format!("cannot be read: {error}")))?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort_unstable();
    let (mut models, mut errors) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.display().to_string();
        let loaded = std::fs::read_to_string(&file)
            .map_err(|error| whole_file(&name, format!("cannot be read: {error}")))
            .and_then(|text| load_str(&name, &text, catalog));
        match loaded {
            Ok(model) => models.push(model),
            Err(LoadErrors(more)) => errors.extend(more),
        }
    }
    if errors.is_empty() {
        Ok(models)
    } else {
        Err(LoadErrors(errors))
    }
}

fn whole_file(file: &str, trouble: String) -> LoadErrors {
    LoadErrors(vec![LoadError {
        file: file.into(),
        at: None,
        trouble,
        help: None,
    }])
}

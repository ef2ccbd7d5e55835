//! The marketplace as an application: its contexts, its read models, its first steps.

use foldline::Application;
use include_dir::{Dir, include_dir};

use crate::{
    LOG_NAME,
    contexts::{
        accounts::Accounts, catalog::Catalog, orders::Orders, payments::Payments, reviews::Reviews,
    },
};

static PROJECTIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../projections");

/// What a newcomer pastes into a terminal; the answers are in the README.
const TRY_NEXT: &str = r#"cargo run --release -- demo

curl -s {url}/v1/users/0115e600-0000-4000-8000-000000000001/accounts/register \
  -H 'content-type: application/json' -d '{"name":"Ana","state":"SP"}'

curl -s '{url}/v1/views/users/me?user_id=0115e600-0000-4000-8000-000000000001'"#;

/// Puts the marketplace together.
pub fn application() -> Application {
    let application = Application::new(LOG_NAME)
        .context::<Accounts>()
        .context::<Catalog>()
        .context::<Orders>()
        .context::<Payments>()
        .context::<Reviews>()
        .try_next(TRY_NEXT);
    PROJECTIONS.files().fold(application, |application, file| {
        let name = file
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let text = file
            .contents_utf8()
            .expect("a read model's file is UTF-8 text");
        application.read_model(name, text)
    })
}

//! `docs/problems.md`: one page with all codes, Foldline's own and the marketplace's.

use std::{fmt::Write, path::Path};

use foldline::{
    kernel::{Decider, ListedRejection, RejectionKind},
    problem::{CODES, CONFLICT_WAY_OUT, IMPOSSIBLE_WAY_OUT},
};
use market::contexts::{
    accounts::{AccountRejection, Accounts},
    catalog::{Catalog, CatalogRejection},
    orders::{OrderRejection, Orders},
    payments::{PaymentRejection, Payments},
    reviews::{ReviewRejection, Reviews},
};

use super::golden;

const HEAD: &str = "\
<!-- Made of the program by a test; `cargo xtask goldens` writes it anew. -->
# Problems

Every error is `application/problem+json` (RFC 9457):

    {\"type\":\"urn:foldline:problem:stale-version\",\"code\":\"stale-version\",\"title\":\"the stream has moved on\",
     \"status\":412,\"detail\":\"the stream has version 3, not 2\",\"current\":3,\"way_out\":\"…\"}

`code` is stable: match on it. `title` is the same for every occurrence, `detail` says what happened
this time, `way_out` what to do about it. Further members are named in the way out.

## Foldline's own

| status | code | meaning | way out |
|---|---|---|---|
";

#[test]
fn the_page_of_all_problems_is_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/problems.md");
    golden::check(&path, &page());
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for code in CODES {
        let (status, name) = (code.status, code.code);
        row(&mut page, status, name, code.title, code.way_out);
    }
    let _ = write!(
        page,
        "\n## The marketplace's rules\n\n\
         409: {CONFLICT_WAY_OUT}.\n422: {IMPOSSIBLE_WAY_OUT}.\n"
    );
    context::<Accounts>(&mut page, AccountRejection::LISTED);
    context::<Catalog>(&mut page, CatalogRejection::LISTED);
    context::<Orders>(&mut page, OrderRejection::LISTED);
    context::<Payments>(&mut page, PaymentRejection::LISTED);
    context::<Reviews>(&mut page, ReviewRejection::LISTED);
    page
}

fn row(page: &mut String, status: u16, code: &str, meaning: &str, way_out: &str) {
    let _ = writeln!(page, "| {status} | `{code}` | {meaning} | {way_out} |");
}

fn context<D: Decider>(page: &mut String, rejections: &[ListedRejection]) {
    let head = "| status | code | sentence |\n|---|---|---|";
    let _ = writeln!(page, "\n### `{}`\n\n{head}", D::CONTEXT);
    for ListedRejection {
        code,
        kind,
        sentence,
    } in rejections
    {
        let status = match kind {
            RejectionKind::Impossible => 422,
            RejectionKind::Conflict => 409,
        };
        let _ = writeln!(page, "| {status} | `{code}` | {sentence} |");
    }
}

//! Admin requests that are wrong.

use foldline::problem::{self, Code};

use super::{alone, ask::Site};

/// What these tests provoke.
pub(crate) const PROVOKED: &[Code] = &[
    problem::UNKNOWN_CONTEXT,
    problem::UNKNOWN_PARAMETER,
    problem::MALFORMED_PARAMETER,
    problem::MALFORMED_REQUEST,
    problem::UNKNOWN_VIEW,
    problem::NO_GENERATION,
    problem::METHOD_NOT_ALLOWED,
];

#[tokio::test]
async fn an_export_is_of_a_context_from_a_place_in_it() {
    let _turn = alone().await;
    let site = Site::new().await.with_an_order().await;
    let export = |rest: &str| site.get(&format!("/v1/admin/export/{rest}"));
    for context in ["boats", "Orders", "orders%20"] {
        site.refused(context, export(context), problem::UNKNOWN_CONTEXT)
            .await;
    }
    for from in [
        "",
        "3",
        "3@",
        "@1",
        "x@1",
        "3@x",
        "8@1",
        "-1@1",
        "orders/3@",
        "catalog/3@1",
        "99999@1",
    ] {
        let request = export(&format!("orders?from={from}"));
        let told = site
            .refused(from, request, problem::MALFORMED_PARAMETER)
            .await;
        assert_eq!(told.problem["parameter"], "from");
    }
    for unknown in ["orders?to=3@1", "orders?from=3@1&to=3@2"] {
        site.refused(unknown, export(unknown), problem::UNKNOWN_PARAMETER)
            .await;
    }
    // Beyond the end there is nothing, which is no mistake.
    for from in ["3@1042", "orders/3@1042"] {
        let path = format!("/v1/admin/export/orders?from={from}");
        let (status, lines) = site.node.get(&path).await;
        assert_eq!((status, &*lines), (200, ""), "{from}");
    }
}

#[tokio::test]
async fn only_read_models_that_are_there_are_rebuilt() {
    let _turn = alone().await;
    let site = Site::new().await;
    for verb in ["replay", "verify", "rollback"] {
        let path = format!("/v1/admin/views/boats/{verb}");
        site.refused(&path, site.post(&path), problem::UNKNOWN_VIEW)
            .await;
        let path = format!("/v1/admin/views/order/{verb}");
        site.refused(&path, site.get(&path), problem::METHOD_NOT_ALLOWED)
            .await;
    }
    let rollback = site.post("/v1/admin/views/order/rollback");
    site.refused("no generation before", rollback, problem::NO_GENERATION)
        .await;
    for (generation, code) in [
        ("99", problem::NO_GENERATION),
        ("1", problem::NO_GENERATION),
        ("x", problem::MALFORMED_REQUEST),
        ("-1", problem::MALFORMED_REQUEST),
    ] {
        let path = format!(
            "{}/v1/admin/views/order/generations/{generation}",
            site.node.url
        );
        site.refused(generation, site.node.client.delete(path), code)
            .await;
    }
}

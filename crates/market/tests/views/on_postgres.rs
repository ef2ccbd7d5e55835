//! The same read models with their tables on Postgres, or with one kind of them there: not one
//! definition changes, and what they say is what the log says.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::{
    node::Node,
    place::Place,
    shop::{order, person, thing},
};

/// A schema that nobody else has, on the server that tests use.
struct Schema {
    url: String,
    name: String,
}

impl Schema {
    fn new() -> Self {
        let url = std::env::var("FOLDLINE_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "FOLDLINE_TEST_POSTGRES does not say where Postgres is; start one with \
                 `cargo xtask services up postgres`, which says what to set"
            )
        });
        let name = format!("test_{}", Uuid::new_v4().simple());
        Self { url, name }
    }

    /// A place whose kinds of tables are on these stores.
    fn place(&self, wide: &'static str, relational: &'static str) -> Place {
        let mut place = Place::empty();
        place.set("FOLDLINE_TABLES__WIDE", wide);
        place.set("FOLDLINE_TABLES__RELATIONAL", relational);
        place.set("FOLDLINE_TABLES__POSTGRES__URL", kept(&self.url));
        place.set("FOLDLINE_TABLES__POSTGRES__SCHEMA", kept(&self.name));
        place
    }

    /// Counts the read models that have a table here.
    async fn models(&self) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.expect("Postgres");
        let count = format!(
            "SELECT count(DISTINCT model) FROM {}.generations",
            self.name
        );
        let counted = sqlx::query_scalar(AssertSqlSafe(count))
            .fetch_one(&mut connection)
            .await;
        counted.expect("a number")
    }

    async fn drop(self) {
        let mut connection = PgConnection::connect(&self.url).await.expect("Postgres");
        let drop = format!("DROP SCHEMA {0} CASCADE; DROP ROLE {0}_reader", self.name);
        let dropped = sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await;
        dropped.expect("a schema that nobody uses any more");
    }
}

/// A setting lives as long as the test's process.
fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}

async fn lives_on(wide: &'static str, relational: &'static str, models: i64) {
    let schema = Schema::new();
    let node = Node::start(schema.place(wide, relational)).await;
    node.tool(&["demo", "--users", "60"]).well();
    let user = person(1);
    let at = node
        .command(user, "orders/place", order(thing(user, 1), user, 1, 100, 7))
        .await;
    let mine = format!("orders_by_user/mine?user_id={user}");
    assert_eq!(node.rows(&mine, &at).await.len(), 1);
    node.rows("seller_sales/top?month=2000-01", &at).await;
    node.tool(&["verify", "--all"]).well();
    for view in ["order", "seller_sales", "products"] {
        node.replay(view);
    }
    node.tool(&["demo", "--users", "30", "--seed", "2"]).well();
    node.tool(&["verify", "--all"]).well();
    assert_eq!(schema.models().await, models);
    let node = node.restart().await;
    assert_eq!(node.rows(&mine, &at).await.len(), 1);
    node.tool(&["replay", "seller_sales", "--rollback"]).well();
    node.tool(&["verify", "--all"]).well();
    let searched = node.rows("products/search?text=a", &at).await;
    assert!(searched.len() <= 100);
    node.stop().await;
    schema.drop().await;
}

#[tokio::test]
async fn all_tables_on_postgres_are_exact() {
    lives_on("postgres", "postgres", 9).await;
}

#[tokio::test]
async fn each_kind_of_tables_has_a_store_of_its_own() {
    let wide = wide_models();
    lives_on("sqlite", "postgres", 9 - wide).await;
    lives_on("postgres", "sqlite", wide).await;
}

/// Counts the built-in read models whose tables are wide.
fn wide_models() -> i64 {
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../projections");
    let files = std::fs::read_dir(shipped).expect("projections/ is there");
    let texts = files.map(|file| std::fs::read_to_string(file.expect("a file").path()));
    let wide = texts.filter(|text| {
        let text = text.as_ref().expect("a definition can be read");
        let mut lines = text.lines().map(|line| line.replace(' ', ""));
        lines.any(|line| line.starts_with("table=\"wide\""))
    });
    i64::try_from(wide.count()).expect("a handful")
}

#[tokio::test]
async fn a_node_without_the_address_says_what_is_missing() {
    let mut place = Place::empty();
    place.set("FOLDLINE_TABLES__RELATIONAL", "postgres");
    let ended = Node::try_start(place).await.err().expect("it cannot start");
    assert!(ended.printed.contains("tables.postgres.url"), "{ended:#?}");
}

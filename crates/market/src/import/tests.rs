//! The import on a tiny made-up data set, and the real one counted where it is at hand.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use uuid::Uuid;

use super::plan::commands;
use super::tables::Tables;
use crate::send::Command;
use crate::send::rehearsal::rehearse;

/// The ids of the made-up set: a kind and a number, as 32 hex digits.
fn id(kind: char, number: u32) -> String {
    format!("{kind}{number:031x}")
}

/// Replaces `o1`, `c2`, … between `<` and `>` by the ids they stand for.
fn spelled(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split(['<', '>']).enumerate() {
        match part.chars().next() {
            Some(kind) if at % 2 == 1 => out += &id(kind, part[1..].parse().unwrap()),
            _ => out += part,
        }
    }
    out
}

const ORDERS: &str = "\
order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,\
order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date
<a2>,<c2>,canceled,2018-02-01 00:00:00,,2018-02-03 00:00:00,,2018-02-09 00:00:00
<a1>,<c1>,delivered,2018-01-01 10:00:00,2018-01-01 11:00:00,2018-01-02 00:00:00,2018-01-05 00:00:00,2018-01-09 00:00:00
<a3>,<c3>,unavailable,2018-02-01 00:00:00,,,,2018-02-09 00:00:00
";

const FILES: [(&str, &str); 8] = [
    ("olist_orders_dataset", ORDERS),
    (
        "olist_customers_dataset",
        "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state\n\
         <c1>,<b1>,01234,são paulo,SP\n<c2>,<b1>,01234,santos,SP\n<c3>,<b2>,20000,rio,RJ\n",
    ),
    (
        "olist_sellers_dataset",
        "seller_id,seller_zip_code_prefix,seller_city,seller_state\n\
         <51>,09080,santo andre,SP\n<52>,14405,franca,SP\n",
    ),
    (
        "olist_products_dataset",
        "product_id,product_category_name,product_name_lenght,product_description_lenght,\
         product_photos_qty,product_weight_g,product_length_cm,product_height_cm,product_width_cm\n\
         <d1>,beleza,53,274,1,600,40.0,20,20\n<d2>,pc_gamer,53,274,,,,,\n<d3>,,,,,600,1,2,3\n",
    ),
    (
        "product_category_name_translation",
        "\u{feff}product_category_name,product_category_name_english\nbeleza,health_beauty\n",
    ),
    (
        "olist_order_items_dataset",
        "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n\
         <a1>,1,<d1>,<51>,2018-01-18 14:48:30,199.0,17.87\n\
         <a1>,2,<d1>,<51>,2018-01-18 14:48:30,198.5,17.87\n\
         <a1>,3,<d2>,<52>,2018-01-18 14:48:30,0.05,0\n\
         <a2>,1,<d1>,<51>,2018-01-18 14:48:30,10,1.1\n\
         <a2>,2,<d3>,<51>,2018-01-18 14:48:30,10,1.1\n",
    ),
    (
        "olist_order_payments_dataset",
        "order_id,payment_sequential,payment_type,payment_installments,payment_value\n\
         <a1>,1,credit_card,5,400.0\n<a1>,2,voucher,1,15.16\n<a3>,1,boleto,1,9.99\n",
    ),
    (
        "olist_order_reviews_dataset",
        "review_id,order_id,review_score,review_comment_title,review_comment_message,\
         review_creation_date,review_answer_timestamp\n\
         <e1>,<a1>,5,,\"bom,\n\"\"muito\"\"\",2018-01-06 00:00:00,2018-01-07 01:02:03\n\
         <e1>,<a2>,1,não,,2018-01-06 00:00:00,2018-02-07 00:00:00\n",
    ),
];

/// Writes the set, half of it packed, with `change` made to each file's text.
fn made_up(change: impl Fn(&str, String) -> String) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (at, (name, text)) in FILES.iter().enumerate() {
        let text = change(name, spelled(text));
        if at % 2 == 0 {
            fs::write(dir.path().join(format!("{name}.csv")), text).unwrap();
        } else {
            let file = fs::File::create(dir.path().join(format!("{name}.csv.gz"))).unwrap();
            let mut packer = GzEncoder::new(file, Compression::fast());
            packer.write_all(text.as_bytes()).unwrap();
            packer.finish().unwrap();
        }
    }
    dir
}

fn planned(dir: &Path) -> Vec<Command> {
    commands(&Tables::read(dir).unwrap())
}

/// Why the set with `from` replaced by `to` in the file `name` is refused.
fn refused(name: &str, from: &str, to: &str) -> String {
    let (from, to) = (spelled(from), spelled(to));
    let dir = made_up(|file, text| match file == name {
        true if text.contains(&from) => text.replacen(&from, &to, 1),
        true => panic!("{from} is not in {name}"),
        false => text,
    });
    Tables::read(dir.path()).unwrap_err().to_string()
}

#[test]
fn the_sequence_the_keys_and_the_times_follow_the_history() {
    let dir = made_up(|_, text| text);
    let told: Vec<String> = planned(dir.path())
        .iter()
        .map(|command| {
            let Command {
                user,
                context,
                name,
                key,
                time,
                ..
            } = command;
            format!("{} {context}/{name} {key} {time}", user.simple())
        })
        .collect();
    let expected = spelled(
        "<b1> accounts/register olist:register:<b1> 2018-01-01T10:00:00Z
<51> accounts/register olist:register:<51> 2018-01-01T10:00:00Z
<52> accounts/register olist:register:<52> 2018-01-01T10:00:00Z
<51> catalog/list-product olist:list-product:<51>:<d1> 2018-01-01T10:00:00Z
<52> catalog/list-product olist:list-product:<52>:<d2> 2018-01-01T10:00:00Z
<b1> orders/place olist:place:<a1> 2018-01-01T10:00:00Z
<b1> payments/capture olist:capture:<a1>:1 2018-01-01T11:00:00Z
<b1> payments/capture olist:capture:<a1>:2 2018-01-01T11:00:00Z
<b1> orders/approve olist:approve:<a1> 2018-01-01T11:00:00Z
<b1> orders/ship olist:ship:<a1> 2018-01-02T00:00:00Z
<b1> orders/deliver olist:deliver:<a1> 2018-01-05T00:00:00Z
<b1> reviews/write olist:write:<e1>:<a1> 2018-01-07T01:02:03Z
<51> catalog/list-product olist:list-product:<51>:<d3> 2018-02-01T00:00:00Z
<b1> orders/place olist:place:<a2> 2018-02-01T00:00:00Z
<b1> orders/ship olist:ship:<a2> 2018-02-03T00:00:00Z
<b1> orders/cancel olist:cancel:<a2> 2018-02-03T00:00:00Z
<b1> reviews/write olist:write:<e1>:<a2> 2018-02-07T00:00:00Z
<b2> accounts/register olist:register:<b2> 2018-02-01T00:00:00Z
<b2> orders/place olist:place:<a3> 2018-02-01T00:00:00Z
<b2> payments/capture olist:capture:<a3>:1 2018-02-01T00:00:00Z
<b2> orders/mark-unavailable olist:mark-unavailable:<a3> 2018-02-01T00:00:00Z",
    );
    assert_eq!(told, expected.lines().collect::<Vec<_>>());
}

#[test]
fn the_bodies_carry_the_original_values() {
    let dir = made_up(|_, text| text);
    let commands = planned(dir.path());
    let body = |key: &str| {
        let key = format!("olist:{}", spelled(key));
        let command = commands.iter().find(|command| command.key == key).unwrap();
        let mut body = command.body.clone();
        // The ids back in the files' spelling, so that the expectation below is readable.
        for kind in "abcde5".chars() {
            for number in 1..4 {
                let uuid: Uuid = id(kind, number).parse().unwrap();
                body = body.replace(&uuid.to_string(), &format!("<{kind}{number}>"));
            }
        }
        body
    };
    assert_eq!(
        body("register:<b1>"),
        r#"{"city":"são paulo","state":"SP","zip_prefix":"01234"}"#,
        "as at the first purchase, zeros kept"
    );
    assert_eq!(
        body("list-product:<51>:<d1>"),
        r#"{"product_id":"<d1>","category":"health_beauty","price_cents":19900,"weight_g":600,"length_cm":40,"height_cm":20,"width_cm":20,"photos":1}"#
    );
    assert_eq!(
        body("list-product:<52>:<d2>"),
        r#"{"product_id":"<d2>","category":"pc_gamer","price_cents":5}"#,
        "the original category where there is no translation"
    );
    assert_eq!(
        body("list-product:<51>:<d3>"),
        r#"{"product_id":"<d3>","price_cents":1000,"weight_g":600,"length_cm":1,"height_cm":2,"width_cm":3}"#
    );
    assert_eq!(
        body("place:<a2>"),
        r#"{"order_id":"<a2>","lines":[{"product_id":"<d1>","seller_id":"<51>","quantity":1,"unit_price_cents":1000,"freight_cents":110},{"product_id":"<d3>","seller_id":"<51>","quantity":1,"unit_price_cents":1000,"freight_cents":110}]}"#
    );
    assert_eq!(
        body("place:<a3>"),
        r#"{"order_id":"<a3>","lines":[]}"#,
        "sent, and refused there"
    );
    let order: Uuid = id('a', 1).parse().unwrap();
    assert_eq!(
        body("capture:<a1>:2"),
        format!(
            r#"{{"payment_id":"{}","order_id":"<a1>","method":"voucher","installments":1,"amount_cents":1516}}"#,
            Uuid::new_v5(&order, b"2")
        )
    );
    assert_eq!(body("approve:<a1>"), r#"{"order_id":"<a1>"}"#);
    assert_eq!(
        body("cancel:<a2>"),
        r#"{"order_id":"<a2>","reason":"canceled"}"#
    );
    assert_eq!(
        body("write:<e1>:<a1>"),
        r#"{"review_id":"<e1>","order_id":"<a1>","score":5,"message":"bom,\n\"muito\""}"#
    );
    assert_eq!(
        body("write:<e1>:<a2>"),
        r#"{"review_id":"<e1>","order_id":"<a2>","score":1,"title":"não"}"#
    );
}

#[test]
fn the_rules_refuse_orders_without_items_and_what_follows_them() {
    let dir = made_up(|_, text| text);
    let answers = rehearse(&planned(dir.path()));
    assert_eq!(answers.accepted, 21 - 3);
    let refused = [
        "olist:place:<a3>",
        "olist:capture:<a3>:1",
        "olist:mark-unavailable:<a3>",
    ];
    assert_eq!(answers.refused_keys, refused.map(spelled));
}

#[test]
fn a_damaged_row_is_named_by_file_line_and_trouble() {
    assert_eq!(
        refused("olist_order_items_dataset", "198.5", "\"198,5\""),
        "olist_order_items_dataset.csv.gz, line 3: price `198,5`: not an amount with at most two \
         decimals"
    );
    assert_eq!(
        refused("olist_orders_dataset", "2018-01-02 00", "2018-01-32 00"),
        "olist_orders_dataset.csv, line 3: order_delivered_carrier_date `2018-01-32 00:00:00`: \
         not a time like 2017-10-02 10:56:33"
    );
    assert_eq!(
        refused("olist_order_payments_dataset", ",voucher", ""),
        "olist_order_payments_dataset.csv, line 3: the row has 4 fields, the header 5"
    );
    assert_eq!(
        refused("olist_order_reviews_dataset", "<e1>,<a2>,1", "<e1>,<a2>,6"),
        "olist_order_reviews_dataset.csv.gz, line 4: review_score: 6 is not 1 to 5",
        "the row before has two lines"
    );
    assert!(
        refused("olist_sellers_dataset", "<51>", "xyz")
            .starts_with("olist_sellers_dataset.csv, line 2: seller_id `xyz`: "),
    );
    assert!(
        refused("olist_orders_dataset", "order_status", "status").contains("`order_status`"),
        "a column that is not there"
    );
}

#[test]
fn rows_that_do_not_fit_together_are_refused() {
    let (a9, b) = (id('a', 9), id('d', 9));
    assert_eq!(
        refused("olist_order_payments_dataset", "<a3>", "<a9>"),
        format!("olist_order_payments_dataset.csv, line 4: order {a9} is not among the orders")
    );
    assert_eq!(
        refused("olist_order_items_dataset", "<d2>", "<d9>"),
        format!("olist_order_items_dataset.csv.gz, line 4: product {b} is not among the products")
    );
    assert_eq!(
        refused("olist_orders_dataset", "<a3>", "<a1>"),
        format!(
            "olist_orders_dataset.csv, line 4: order {} is there twice",
            id('a', 1)
        )
    );
}

#[test]
fn a_missing_file_is_named() {
    let dir = made_up(|_, text| text);
    fs::remove_file(dir.path().join("olist_sellers_dataset.csv")).unwrap();
    let error = Tables::read(dir.path()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot open olist_sellers_dataset.csv or"),
        "{error}"
    );
}

#[test]
fn a_file_that_breaks_off_is_told() {
    let dir = made_up(|_, text| text);
    let path = dir.path().join("olist_order_items_dataset.csv.gz");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 12]).unwrap();
    let error = Tables::read(dir.path()).unwrap_err().to_string();
    assert!(
        error.starts_with("olist_order_items_dataset.csv.gz, line "),
        "{error}"
    );
}

/// The whole real set; where it is not at hand, the large made-up set below has to do.
#[test]
fn the_real_set_is_126_533_commands() {
    let real = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/olist");
    if !real.is_dir() {
        eprintln!(
            "{} is not there: only made-up orders are counted",
            real.display()
        );
        return a_large_made_up_set_is_planned_whole();
    }
    let commands = planned(&real);
    let count = |name| {
        commands
            .iter()
            .filter(|command| command.name == name)
            .count()
    };
    assert_eq!(commands.len(), 126_533);
    assert_eq!(
        (count("register"), count("list-product")),
        (16_976 + 1_513, 9_506)
    );
    assert_eq!((count("place"), count("capture")), (17_153, 17_991));
    let keys: HashSet<_> = commands
        .iter()
        .map(|command| (command.user, &command.key))
        .collect();
    assert_eq!(keys.len(), commands.len(), "a key stands for one command");
    let answers = rehearse(&commands);
    assert_eq!(answers.accepted, 125_957);
    let refused: Vec<_> = answers.refused.into_iter().collect();
    assert_eq!(
        refused,
        [("order-without-lines", 118), ("unknown-order", 458)]
    );
}

const SAMPLE_ROWS: u32 = 20_000;

/// Adds orders of their own buyers, without items, to the files of the made-up set.
fn sample(file: &str, mut text: String) -> String {
    for number in 100..100 + SAMPLE_ROWS {
        let (order, customer, buyer) = (id('a', number), id('c', number), id('b', number));
        text += &match file {
            "olist_orders_dataset" => {
                format!("{order},{customer},created,2018-03-01 00:00:00,,,,\n")
            }
            "olist_customers_dataset" => format!("{customer},{buyer},1,,\n"),
            "olist_order_payments_dataset" => format!("{order},1,voucher,1,1.0\n"),
            _ => return text,
        };
    }
    text
}

#[test]
fn a_large_made_up_set_is_planned_whole() {
    let dir = made_up(sample);
    // A buyer, an order and a payment for every row that `sample` adds.
    assert_eq!(planned(dir.path()).len(), 21 + 3 * SAMPLE_ROWS as usize);
}

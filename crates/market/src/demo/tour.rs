//! What to look at after the demo: commands to paste, with ids that it has just made.

use jiff::Timestamp;

use super::buyers::Told;

/// The commands, each under a line that says what it shows.
pub(super) fn text(base: &str, orders: &[Told], now: Timestamp) -> String {
    let mut stops = Vec::new();
    if let Some(Told {
        buyer,
        name,
        order_id,
        ..
    }) = most_to_see(orders)
    {
        let of_order = format!("order_id={order_id}");
        let mine = format!("orders_by_user/mine?user_id={buyer}");
        stops.push(look(base, &format!("the orders of {name}"), &mine));
        let by_id = format!("order/by_id?{of_order}");
        stops.push(look(
            base,
            "one of them: what was paid, how it was rated",
            &by_id,
        ));
        let timeline = format!("order_timeline/of?{of_order}");
        stops.push(look(
            base,
            "what happened to it, one after another",
            &timeline,
        ));
    }
    let top = format!("seller_sales/top?month={}&limit=5", month(now));
    stops.push(look(base, "the best sellers of this month", &top));
    let search = "products/search?text=coffee&price_cents_to=20000";
    stops.push(look(
        base,
        "products with \"coffee\" in their name, up to 200 reais",
        search,
    ));
    if let Some(Told {
        buyer, order_id, ..
    }) = most_to_see(orders)
    {
        stops.push(format!(
            "# a command that the rules refuse, and how they say so\n\
             curl -s '{base}/v1/users/{buyer}/orders/approve' \
             -H 'Content-Type: application/json' -d '{{\"order_id\":\"{order_id}\"}}'"
        ));
    }
    format!("To look around, paste:\n\n{}", stops.join("\n\n"))
}

fn look(base: &str, what: &str, query: &str) -> String {
    format!("# {what}\ncurl -s '{base}/v1/views/{query}'")
}

/// An order that went all the way; else one that went far, else any.
fn most_to_see(orders: &[Told]) -> Option<&Told> {
    // The first of those that got furthest, so that the same run shows the same order.
    orders
        .iter()
        .rev()
        .max_by_key(|order| (order.review_id.is_some(), order.approved))
}

/// `2018-01` for a time in January 2018, as the views write months.
fn month(time: Timestamp) -> String {
    time.to_string()[..7].to_owned()
}

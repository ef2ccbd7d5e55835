//! Ids of what the marketplace deals in; users have the kernel's `UserId`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Serialize,
            Deserialize,
            JsonSchema,
        )]
        #[serde(transparent)]
        #[schemars(inline)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// An order, as its buyer named it: two buyers may choose the same id.
    OrderId
}
uuid_id! {
    /// A product; several sellers may offer the same one.
    ProductId
}
uuid_id! {
    /// One payment of a buyer.
    PaymentId
}
uuid_id! {
    /// A review; the same one may be about several orders.
    ReviewId
}

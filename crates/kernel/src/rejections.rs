//! Declares why the rules of a context say no.

use crate::RejectionKind;

/// What the rules of a context may say, whatever the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRejection {
    /// The stable code.
    pub code: &'static str,
    /// Whether another state could accept the command.
    pub kind: RejectionKind,
    /// The sentence, with the names of its fields in braces.
    pub sentence: &'static str,
}

/// Declares the rejections of a context, each with its kind, its stable code and its sentence.
///
/// The code is what clients match on and never changes; the kind tells whether another state
/// could have accepted the command; the sentence may name the variant's fields. `LISTED` has all
/// of them, so that a page of documentation can be made of it.
///
/// ```
/// foldline_kernel::rejections! {
///     /// Why a boat stays where it is.
///     #[derive(PartialEq)]
///     pub enum BoatRejection {
///         Impossible "boat-without-name" => WithoutName "a boat has a name",
///         Conflict "boat-is-moored" => Moored { pier: u8 } "the boat is moored at pier {pier}",
///     }
/// }
///
/// use foldline_kernel::{Rejection, RejectionKind};
/// let no = BoatRejection::Moored { pier: 4 };
/// assert_eq!((no.code(), no.kind()), ("boat-is-moored", RejectionKind::Conflict));
/// assert_eq!(no.to_string(), "the boat is moored at pier 4");
/// assert_eq!(BoatRejection::LISTED[1].sentence, "the boat is moored at pier {pier}");
/// ```
#[macro_export]
macro_rules! rejections {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $(
                $kind:ident $code:literal => $variant:ident $({ $($field:ident: $type:ty),+ })?
                $message:literal
            ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis enum $name {
            $(
                #[doc = concat!("`", $code, "`: ", $message, ".")]
                $variant $({ $(#[doc = concat!("See the sentence: `", stringify!($field), "`.")] $field: $type),+ })?
            ),+
        }

        impl $name {
            /// Every rejection, in the sequence of the declaration.
            // An application that publishes no list of them need not use it.
            #[allow(dead_code)]
            $vis const LISTED: &'static [$crate::ListedRejection] = &[$(
                $crate::ListedRejection {
                    code: $code,
                    kind: $crate::RejectionKind::$kind,
                    sentence: $message,
                }
            ),+];
        }

        impl $crate::Rejection for $name {
            fn code(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $code),+ }
            }

            fn kind(&self) -> $crate::RejectionKind {
                match self { $(Self::$variant { .. } => $crate::RejectionKind::$kind),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            // A sentence need not name every field.
            #[allow(unused_variables)]
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self { $(Self::$variant $({ $($field),+ })? => write!(f, $message)),+ }
            }
        }

        impl ::std::error::Error for $name {}
    };
}

//! Declares why the rules of a context say no.

/// Declares the rejections of a context, each with its kind, its stable code and its sentence.
///
/// The code is what clients match on and never changes; the kind tells whether another state
/// could have accepted the command; the sentence may name the variant's fields. `CODES` lists
/// all codes, so that a page of documentation can be checked against it.
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
            /// Every code, in the sequence of the declaration.
            $vis const CODES: &'static [&'static str] = &[$($code),+];
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

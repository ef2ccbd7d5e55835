//! Who sends a command, and with which rights.

use std::sync::Arc;

use crate::UserId;

/// A right that a caller may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// Act for any user, and read what is not public.
    Staff,
    /// Set the time of an event, as an import of history must.
    Import,
}

/// The caller of a command: who it is (`None`: nobody in particular) and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user behind the request, where one is known.
    pub user: Option<UserId>,
    /// How the caller is named in the envelope's `actor`, where it is not the user itself.
    pub name: Option<String>,
    rights: Vec<Right>,
    roles: Vec<Arc<str>>,
}

impl Caller {
    /// A user without further rights.
    pub fn user(user: UserId) -> Self {
        Self {
            user: Some(user),
            ..Self::default()
        }
    }

    /// The caller of an open node: anybody on this machine, with every right.
    pub fn open() -> Self {
        Self {
            user: None,
            name: None,
            rights: vec![Right::Staff, Right::Import],
            roles: Vec::new(),
        }
    }

    /// Adds a right.
    #[must_use]
    pub fn with(mut self, right: Right) -> Self {
        self.rights.push(right);
        self
    }

    /// Adds a role, a word of the application's own.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Tells whether the caller holds a right.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Tells whether the caller has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| **known == *role)
    }

    /// Tells whether nothing at all is known of the caller.
    pub fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

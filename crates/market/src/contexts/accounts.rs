//! Being registered, and the profile: the context `accounts`, whose streams belong to persons
//! (buyers and sellers alike).
//!
//! ```text
//!   register ──▶ change-profile, any number of times ──▶ close, for good
//! ```
//!
//! Other contexts do not require an account: an order of somebody who never registered is still
//! an order. Name and e-mail are personal values. They stay out of the state, since no rule needs
//! them and a snapshot would outlive their erasure; that is why a profile that is set to what it
//! already was is recorded again.

use foldline::kernel::{Decider, Personal, Situation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Text;

mod change;

pub use change::Change;

// Stored events: names and shapes are on disk for ever.

foldline::schema::stored_events! {
    /// What happens to accounts.
    #[derive(Clone, Debug, PartialEq)]
    pub enum AccountEvent {
        "account.registered.v1" => Registered(Registered),
        "account.profile-changed.v1" => ProfileChanged(ProfileChanged),
        "account.closed.v1" => Closed(Closed),
    }
}

/// A person has registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registered {
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<String>>,
    /// The person's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<String>>,
    /// Where the person lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// The federal state, such as `SP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The first digits of the postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zip_prefix: Option<String>,
}

/// A person has changed the profile: an absent member stays as it was, null clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileChanged {
    /// The person's name.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub name: Change<Personal<String>>,
    /// The person's e-mail address.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub email: Change<Personal<String>>,
    /// Where the person lives.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub city: Change<String>,
    /// The federal state, such as `SP`.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub state: Change<String>,
    /// The first digits of the postal code.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub zip_prefix: Change<String>,
}

/// A person has left; the account is never opened again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closed {}

// State.

/// Where a person's account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// There has never been one.
    #[default]
    Unregistered,
    /// It is open.
    Registered,
    /// It was open once.
    Closed,
}

// Commands.

foldline::kernel::commands! {
    /// What an account can be asked to do.
    #[derive(Clone, Debug)]
    pub enum AccountCommand {
        "register" => Register(Register),
        "change-profile" => ChangeProfile(ChangeProfile),
        "close" => Close(Close),
    }
}

type Name = Text<1, 200>;
type Email = Text<1, 320>;
type City = Text<1, 100>;
type State = Text<1, 50>;
type ZipPrefix = Text<1, 20>;

/// Opens an account; every member may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The person's name.
    pub name: Option<Name>,
    /// The person's e-mail address.
    pub email: Option<Email>,
    /// Where the person lives.
    pub city: Option<City>,
    /// The federal state.
    pub state: Option<State>,
    /// The first digits of the postal code.
    pub zip_prefix: Option<ZipPrefix>,
}

/// Changes a profile: an absent member stays as it is, null clears it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChangeProfile {
    /// The person's name.
    pub name: Change<Name>,
    /// The person's e-mail address.
    pub email: Change<Email>,
    /// Where the person lives.
    pub city: Change<City>,
    /// The federal state.
    pub state: Change<State>,
    /// The first digits of the postal code.
    pub zip_prefix: Change<ZipPrefix>,
}

/// Closes an account for good.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {}

// Rejections: the codes are what clients match on.

foldline::kernel::rejections! {
    /// Why the rules say no.
    #[derive(Clone, PartialEq)]
    pub enum AccountRejection {
        Conflict "already-registered" => AlreadyRegistered "this user is already registered",
        Conflict "not-registered" => NotRegistered "this user is not registered",
        Conflict "account-closed" => Closed "the account of this user is closed",
    }
}

// Rules.

/// The context `accounts`.
#[derive(Debug)]
pub struct Accounts;

impl Decider for Accounts {
    const CONTEXT: &'static str = "accounts";
    const STATE_REVISION: u32 = 1;

    type State = AccountState;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Rejection = AccountRejection;

    fn decide(
        state: &AccountState,
        command: AccountCommand,
        _: &Situation<'_>,
    ) -> Result<Vec<AccountEvent>, AccountRejection> {
        let event = match (command, state) {
            (_, AccountState::Closed) => return Err(AccountRejection::Closed),
            (AccountCommand::Register(_), AccountState::Registered) => {
                return Err(AccountRejection::AlreadyRegistered);
            }
            (AccountCommand::Register(register), AccountState::Unregistered) => {
                Registered::from(register).into()
            }
            (_, AccountState::Unregistered) => return Err(AccountRejection::NotRegistered),
            (AccountCommand::ChangeProfile(change), AccountState::Registered) => {
                let changed = ProfileChanged::from(change);
                if changed == ProfileChanged::default() {
                    return Ok(vec![]);
                }
                changed.into()
            }
            (AccountCommand::Close(Close {}), AccountState::Registered) => Closed {}.into(),
        };
        Ok(vec![event])
    }

    fn evolve(state: &mut AccountState, event: &AccountEvent) {
        match event {
            AccountEvent::Registered(_) => *state = AccountState::Registered,
            AccountEvent::ProfileChanged(_) => {}
            AccountEvent::Closed(_) => *state = AccountState::Closed,
        }
    }
}

impl From<Register> for Registered {
    fn from(register: Register) -> Self {
        Self {
            name: register.name.map(|name| Personal::plain(name.into_inner())),
            email: register
                .email
                .map(|email| Personal::plain(email.into_inner())),
            city: register.city.map(Text::into_inner),
            state: register.state.map(Text::into_inner),
            zip_prefix: register.zip_prefix.map(Text::into_inner),
        }
    }
}

impl From<ChangeProfile> for ProfileChanged {
    fn from(change: ChangeProfile) -> Self {
        Self {
            name: change.name.map(|name| Personal::plain(name.into_inner())),
            email: change
                .email
                .map(|email| Personal::plain(email.into_inner())),
            city: change.city.map(Text::into_inner),
            state: change.state.map(Text::into_inner),
            zip_prefix: change.zip_prefix.map(Text::into_inner),
        }
    }
}

#[cfg(test)]
mod tests;

//! The rules of accounts.

use foldline::kernel::Commands;
use foldline::kernel::spec::given;
use foldline::schema::StoredEvents;

use super::*;

fn registered() -> AccountEvent {
    Registered::default().into()
}

fn closed() -> AccountEvent {
    Closed {}.into()
}

fn change_city() -> ChangeProfile {
    ChangeProfile {
        city: Change::Set("Recife".try_into().unwrap()),
        name: Change::Clear,
        ..ChangeProfile::default()
    }
}

#[test]
fn a_person_registers_with_what_they_like_to_tell() {
    given::<Accounts>([])
        .when(Register::default())
        .then([registered()]);
    let register = Register {
        name: Some("Ana".try_into().unwrap()),
        email: Some("ana@example.com".try_into().unwrap()),
        state: Some("SP".try_into().unwrap()),
        ..Register::default()
    };
    given::<Accounts>([]).when(register).then([Registered {
        name: Some(Personal::plain("Ana".into())),
        email: Some(Personal::plain("ana@example.com".into())),
        state: Some("SP".into()),
        ..Registered::default()
    }
    .into()]);
}

#[test]
fn a_person_registers_once() {
    given::<Accounts>([registered()])
        .when(Register::default())
        .then_rejected("already-registered");
}

#[test]
fn a_profile_changes_where_it_is_told_to() {
    given::<Accounts>([registered()])
        .when(change_city())
        .then([ProfileChanged {
            city: Change::Set("Recife".into()),
            name: Change::Clear,
            ..ProfileChanged::default()
        }
        .into()]);
}

#[test]
fn a_change_of_nothing_is_nothing() {
    given::<Accounts>([registered()])
        .when(ChangeProfile::default())
        .then_nothing();
}

#[test]
fn only_who_is_registered_changes_or_closes() {
    given::<Accounts>([])
        .when(change_city())
        .then_rejected("not-registered");
    given::<Accounts>([])
        .when(Close {})
        .then_rejected("not-registered");
    given::<Accounts>([registered()])
        .when(Close {})
        .then([closed()]);
}

#[test]
fn a_closed_account_stays_closed() {
    let commands: [AccountCommand; 3] = [
        Register::default().into(),
        change_city().into(),
        Close {}.into(),
    ];
    for command in commands {
        given::<Accounts>([registered(), closed()])
            .when(command)
            .then_rejected("account-closed");
    }
}

#[test]
fn absent_keeps_and_null_clears_in_commands_and_on_disk() {
    let body = br#"{"name":null,"city":"Recife"}"#;
    let command = AccountCommand::decode("change-profile", body)
        .unwrap()
        .unwrap();
    let AccountCommand::ChangeProfile(change) = command else {
        panic!("not a change of the profile");
    };
    let event = AccountEvent::from(ProfileChanged::from(change));
    let mut data = Vec::new();
    event.write_data(&mut data).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&data),
        r#"{"name":null,"city":"Recife"}"#
    );
    let read = AccountEvent::read_data("account.profile-changed.v1", &data);
    assert_eq!(read.unwrap().unwrap(), event);
}

#[test]
fn personal_values_are_read_in_both_forms() {
    let data = br#"{"name":{"plain":"Ana"},"email":{"sealed":"AAEC","key":"k1"}}"#;
    let read = AccountEvent::read_data("account.registered.v1", data);
    let event = read.unwrap().unwrap();
    let mut again = Vec::new();
    event.write_data(&mut again).unwrap();
    assert_eq!(again, data);
    assert!(!format!("{event:?}").contains("Ana"));
}

#[test]
fn a_body_that_is_no_profile_is_pointed_at() {
    for (body, pointer) in [
        (r#"{"name":""}"#.to_owned(), "/name"),
        (format!(r#"{{"city":"{}"}}"#, "x".repeat(101)), "/city"),
        (r#"{"zip_prefix":1310}"#.to_owned(), "/zip_prefix"),
        (r#"{"phone":"1"}"#.to_owned(), "/phone"),
    ] {
        for command in ["register", "change-profile"] {
            let wrong = AccountCommand::decode(command, body.as_bytes());
            assert_eq!(
                wrong.unwrap().unwrap_err().pointer,
                pointer,
                "{command} {body}"
            );
        }
    }
}

use super::*;
use crate::schedule::DoorKind;

fn holder(role: Role, domains: &[&str]) -> Caller {
    let domains = Domains::new(domains.iter().map(|domain| (*domain).to_owned()).collect()).unwrap();
    Caller::holder("1f2e3d4c".parse().unwrap(), "billing", role, domains)
}

#[test]
fn each_role_may_do_what_those_before_it_may() {
    let roles = Role::WORDS.map(|(_, role)| role);
    for (height, role) in roles.into_iter().enumerate() {
        for (needed_height, needed) in roles.into_iter().enumerate() {
            let may = holder(role, &["#"]).may(needed, "do it");
            assert_eq!(may.is_ok(), height >= needed_height, "{role:?} {needed:?}");
        }
    }
    assert!(Role::WORDS.iter().all(|(word, role)| role.word() == *word));
}

#[test]
fn every_door_has_its_authority() {
    for (caller, changes) in
        [(Caller::operator(), true), (Caller::anybody(), true), (Caller::reader(), false)]
    {
        assert!(caller.may(Role::Read, "read").is_ok());
        assert_eq!(caller.may(Role::Operate, "reload").is_ok(), changes, "{caller}");
        assert_eq!(caller.may(Role::Admin, "rule").is_ok(), changes, "{caller}");
        assert!(caller.may_change("time.one-day.passed").is_ok());
        assert!(caller.may_change_everything("reload").is_ok());
    }
}

#[test]
fn what_a_caller_creates_says_by_which_kind_of_door_he_came() {
    let broker = Caller::of_broker("billing-service", "billing", Role::Write, Domains::everything());
    for (caller, kind) in [
        (Caller::operator(), DoorKind::ControlSocket),
        (Caller::anybody(), DoorKind::Http),
        (holder(Role::Write, &["#"]), DoorKind::Http),
        (broker, DoorKind::Message),
    ] {
        assert_eq!(caller.author().door_kind, kind, "{caller}");
    }
}

#[test]
fn changes_outside_of_the_callers_domains_are_denied() {
    let billing = holder(Role::Write, &["billing.*", "invoices"]);
    assert!(billing.may_change("billing.invoice.due").is_ok());
    assert!(billing.may_change("invoices.one.due").is_ok());
    assert!(billing.may_change("reports.morning.requested").is_err());
    assert!(billing.may_change_everything("reload").is_err());
    assert!(!billing.is_of_everything());
}

#[test]
fn tasks_go_to_the_queues_that_are_listed_and_without_a_list_to_none() {
    let docker = Domains::new(vec!["docker.*".into()]).unwrap();
    let sending = holder(Role::Write, &["#"]).sending(Some(docker));
    assert!(sending.may_send_tasks("docker.images").is_ok());
    assert!((sending.author().reaches)("docker.images.cleanup") && !(sending.author().reaches)("billing.a"));
    let denied = sending.may_send_tasks("billing.letters").unwrap_err().to_string();
    assert!(denied.contains("may send tasks to docker.*; 'billing.letters' is none"), "{denied}");
    let none = holder(Role::Write, &["#"]).sending(None);
    let denied = none.may_send_tasks("docker.images").unwrap_err().to_string();
    assert!(denied.contains("may send no tasks (tasks in its configuration)"), "{denied}");
    for admin in [Caller::operator(), holder(Role::Admin, &["#"]).sending(None)] {
        assert!(admin.may_send_tasks("docker.images").is_ok(), "{admin}");
    }
    assert!(Caller::reader().may_send_tasks("docker.images").is_err());
}

#[test]
fn only_the_operator_signs_as_he_likes() {
    assert_eq!(Caller::operator().signed("ann"), "ann");
    assert_eq!(holder(Role::Operate, &["#"]).signed("ann"), "the token 1f2e3d4c of 'billing' as ann");
    // What he writes stands behind what is known.
    let claim = holder(Role::Operate, &["#"]).signed("operator (control socket)");
    assert!(claim.starts_with("the token 1f2e3d4c"), "{claim}");
    assert_eq!(Caller::anybody().signed("ann"), "anybody (HTTP) as ann");
}

#[test]
fn a_denial_names_the_rule() {
    let caller = holder(Role::Read, &["billing.*"]);
    let denied = caller.may(Role::Operate, "release parked events").unwrap_err().to_string();
    assert_eq!(
        denied,
        "the token 1f2e3d4c of 'billing' has the role read; to release parked events takes the role operate"
    );
    let denied = caller.may_change("reports.a.requested").unwrap_err().to_string();
    assert!(denied.contains("domains billing.*; the event 'reports.a.requested' is outside"), "{denied}");
    let denied = Caller::reader().may(Role::Operate, "reload").unwrap_err().to_string();
    assert!(denied.contains("control socket") && denied.contains("[[http.tokens]]"), "{denied}");
}

//! `[[publish.ceilings]]`.

use super::*;

fn ceiling(domain: &str, rate: &str) -> String {
    format!("[[publish.ceilings]]\n{domain}\n{rate}\n")
}

#[test]
fn ceilings_are_read_in_their_order() {
    assert!(load("", &[], &[]).unwrap().ceilings().is_empty());
    let text = ceiling("domain = \"billing.*\"", "rate = 100") + &ceiling("domain = \"#\"", "rate = 7");
    let config = load(&text, &[], &[]).unwrap();
    let all: Vec<_> = config.publish.ceilings.iter().map(|one| (&*one.domain, one.rate)).collect();
    assert_eq!(all, [("billing.*", 100), ("#", 7)]);
    let ceilings = config.ceilings();
    let counts = |event| ceilings.of(event).and_then(|id| ceilings.get(id)).map(|one| one.domain.clone());
    assert_eq!(counts("billing.invoice.reminder.due").as_deref(), Some("billing.*"));
    assert_eq!(counts("reports.morning.requested").as_deref(), Some("#"));
}

#[test]
fn every_fault_of_a_ceiling_is_reported_where_it_stands() {
    let (domain, rate) = ("domain = \"billing.*\"", "rate = 100");
    for (text, at, said) in [
        (ceiling("", rate), (1, 1), "publish.ceilings: the key domain is missing"),
        (ceiling(domain, ""), (1, 1), "publish.ceilings: the key rate is missing"),
        (ceiling("domain = \"bill*\"", rate), (2, 10), "'bill*' is not a name or pattern"),
        (ceiling(domain, "rate = 0"), (3, 8), "publish.ceilings.rate: 0 is out of bounds"),
        (ceiling(domain, "rate = \"x\""), (3, 8), "rate"),
        (ceiling(domain, "rates = 100"), (3, 1), "unknown key 'rates' in [[publish.ceilings]]"),
        (
            ceiling(domain, rate) + &ceiling("domain = \"billing.*.#\"", rate),
            (5, 10),
            "'billing.*.#' has another ceiling",
        ),
        (ceiling(domain, rate).repeat(33), (1, 1), "33 ceilings; 32 are allowed"),
    ] {
        let faults = load(&text, &[], &[]).unwrap_err();
        let found = faults.list().iter().find(|fault| fault.message.contains(said));
        let found = found.unwrap_or_else(|| panic!("{said}: {faults}"));
        assert_eq!((found.line, found.column), (Some(at.0), Some(at.1)), "{text}: {faults}");
    }
}

//! Which ceiling counts, how much it lets through, and whose turn it is.

use super::*;

fn ceilings(all: &[(&str, u32)]) -> Ceilings {
    let all = all
        .iter()
        .map(|(pattern, rate)| Ceiling::of_a_second((*pattern).to_owned(), (*pattern).to_owned(), *rate));
    Ceilings::new(all.collect())
}

#[test]
fn the_one_that_spells_out_most_words_counts_and_of_these_the_first() {
    let all = ceilings(&[("#", 1), ("billing.#", 2), ("billing.*.due", 3), ("billing.invoice.#", 4)]);
    for (event, counts) in [
        ("reports.morning.requested", 0),
        ("billing.invoice.paid", 3),
        ("billing.invoice.due", 2),
        ("billing.refund.due", 2),
        ("billing.refund.paid", 1),
    ] {
        assert_eq!(all.of(event), Some(CeilingId(counts)), "{event}");
    }
    assert_eq!(ceilings(&[("billing.#", 2)]).of("reports.morning.requested"), None);
}

#[test]
fn a_burst_goes_out_together_and_then_one_in_each_interval() {
    let mut all = ceilings(&[("#", 40)]);
    let id = CeilingId(0);
    let mut sent = Vec::new();
    for boot in 5_000..6_000 {
        all.see(boot);
        while all.may(id) {
            all.take(id);
            sent.push(boot);
        }
        assert!(all.wait(id) > 0 && all.wait(id) <= 25);
    }
    assert_eq!(sent[..6], [5_000, 5_000, 5_000, 5_000, 5_025, 5_050]);
    assert_eq!(sent.len(), 4 + 39);
    // What is not used is not saved up.
    all.see(60_000);
    let together = (0..10).take_while(|_| all.may(id).then(|| all.take(id)).is_some()).count();
    assert_eq!(together, 4);
}

#[test]
fn schedules_and_delayed_events_that_wait_take_turns_and_nobody_yields_to_who_does_not_wait() {
    let mut all = ceilings(&[("#", 200)]);
    let id = CeilingId(0);
    let go = |all: &mut Ceilings, boot: &mut i64, schedules: bool, delayed: bool| {
        *boot += 5;
        all.see(*boot);
        all.schedules_wait(id, schedules);
        all.delayed_wait(id, delayed);
        // Whoever is asked first.
        if schedules && all.may(id) {
            all.take(id);
            return 's';
        }
        if delayed && all.may_delayed(id) {
            all.take_delayed(id);
            return 'd';
        }
        '-'
    };
    let mut boot = 5_000;
    let mut run = |schedules, delayed, count: usize| -> String {
        (0..count).map(|_| go(&mut all, &mut boot, schedules, delayed)).collect()
    };
    assert_eq!(run(true, false, 5), "sssss");
    // A hundredth of a second of 200 are two.
    assert_eq!(run(true, true, 9), "ddssddssd");
    assert_eq!(run(false, true, 5), "ddddd");
    assert_eq!(run(true, true, 5), "ssdds");
}

#[test]
fn the_engine_is_told_when_delayed_events_no_longer_keep_it_waiting() {
    let mut all = ceilings(&[("#", 10)]);
    let id = CeilingId(0);
    all.see(5_000);
    all.take(id);
    all.schedules_wait(id, true);
    all.delayed_wait(id, true);
    all.see(5_100);
    assert!(!all.may(id) && all.may_delayed(id) && !all.is_released(id));
    all.delayed_wait(id, false);
    assert!(all.may(id) && all.is_released(id));
    all.see(5_100);
    assert!(!all.is_released(id), "it was stepped");
}

#[test]
fn no_span_of_time_has_more_than_the_burst_and_what_its_length_allows() {
    let mut random = fastrand::Rng::with_seed(3);
    for rate in [1, 3, 7, 10, 1_000, 1_000_000] {
        let mut all = ceilings(&[("#", rate)]);
        let (id, mut boot, mut sent) = (CeilingId(0), 0, Vec::new());
        while sent.len() < 300 {
            boot += random.i64(0..400);
            all.see(boot);
            for _ in 0..random.usize(0..20) {
                if all.may(id) {
                    all.take(id);
                    sent.push(boot);
                }
            }
        }
        let burst = f64::from((rate / 10).max(1));
        for (from, begin) in sent.iter().enumerate() {
            for (to, end) in sent.iter().enumerate().skip(from) {
                let most = burst + (end - begin) as f64 * f64::from(rate) / 1_000.0;
                assert!((to - from + 1) as f64 <= most + 1e-6, "{rate} a second: {from}..={to} of {sent:?}");
            }
        }
    }
}

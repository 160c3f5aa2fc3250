//! A seeded simulation of the engine in a world that fails: crashes at every point, lost and refused publishings,
//! a store that is slow, clocks that step, schedules that change. Every run is checked against the invariants of
//! ARCHITECTURE.md; every fault of [`faults`](super::faults) that is planted on purpose must be caught.

mod auditing;
mod check;
mod commands;
mod operator;
mod parking;
mod random;
mod recording;
mod rendering;
mod reservation;
mod world;
mod writes;

use super::faults::{Fault, plant};
use world::World;

/// What a run did: how many events arrived, how many of these were rendered ahead, how many parked runs were released, how
/// many audits were made while it ran, and how many commands were answered.
type Did = [usize; 5];

/// One run: what it did, or what it broke.
fn run(seed: u64) -> Result<Did, String> {
    let mut world = World::new(seed);
    world.live();
    let (arrivals, runs) = (world.arrivals.len(), world.parking.runs);
    let did = [arrivals, world.rendering.sent, runs, world.auditing.audits, world.commands.answered];
    check::promises(&world).map(|()| did).map_err(|broken| format!("seed {seed}: {broken}"))
}

fn seeds() -> u64 {
    let scale = std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    10_000 * scale
}

#[test]
fn no_seed_breaks_a_promise() {
    plant(None);
    let mut all = Did::default();
    for seed in 0..seeds() {
        all.iter_mut().zip(run(seed).unwrap()).for_each(|(all, did)| *all += did);
    }
    let [arrivals, prepared, runs, audits, commands] = all;
    // A world in which nothing happens proves nothing.
    assert!(arrivals as u64 > seeds() * 10, "only {arrivals} arrivals");
    assert!(prepared as u64 > seeds() / 4, "only {prepared} were rendered ahead");
    assert!(runs as u64 > seeds() / 50, "only {runs} parked runs were released");
    assert!(audits as u64 > seeds(), "only {audits} audits were made");
    assert!(commands as u64 > seeds(), "only {commands} commands were answered");
}

/// Beyond the ten thousand: what a longer run (`TEST_SCALE`) found.
#[test]
fn what_a_longer_run_found_stays_mended() {
    plant(None);
    for seed in [10_370, 10_772, 12_503, 15_825, 16_645, 16_809, 86_421, 140_107, 141_691] {
        run(seed).unwrap();
    }
}

fn assert_caught(fault: Fault) {
    // Everything arrives all the same; only the record can tell.
    let of_the_record = [
        Fault::RecordOneShotsBehind,
        Fault::CompleteWhatIsInFlight,
        Fault::LeaveLostDetailsUnmarked,
        Fault::ParkOverGaps,
        Fault::AnswerBeforeRowsAreDurable,
    ];
    plant(Some(fault));
    let caught = (0..10_000).find_map(|seed| {
        std::panic::catch_unwind(|| run(seed))
            .unwrap_or_else(|_| Err(format!("seed {seed}: a panic")))
            .err()
            // The audit may see first what breaks another promise elsewhere.
            .filter(|broken| of_the_record.contains(&fault) || !broken.contains(check::AUDIT))
            .map(|broken| (seed, broken))
    });
    plant(None);
    let (seed, broken) = caught.unwrap_or_else(|| panic!("{fault:?} was never caught"));
    println!("{fault:?}: {broken}");
    assert_eq!(broken.contains(check::AUDIT), of_the_record.contains(&fault), "{fault:?}: {broken}");
    assert!(run(seed).is_ok(), "the seed breaks a promise without the fault too");
}

macro_rules! each_planted_fault_is_caught {
    ($($name:ident: $fault:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            assert_caught(Fault::$fault);
        }
    )*};
}

each_planted_fault_is_caught! {
    coalescing_what_may_have_been_sent_is_caught: CoalesceWhatMayHaveBeenSent,
    settling_what_is_in_flight_is_caught: SettleWhatIsInFlight,
    forgetting_what_was_refused_is_caught: ForgetRefused,
    handing_over_above_the_reservation_is_caught: HandOverAboveTheReservation,
    sending_before_the_span_is_saved_is_caught: SendBeforeTheSpanIsSaved,
    closing_a_span_before_the_mark_has_passed_it_is_caught: CloseBeforeTheMark,
    sending_before_the_revision_is_saved_is_caught: SendBeforeTheRevisionIsSaved,
    recording_one_shots_behind_is_caught: RecordOneShotsBehind,
    rows_that_count_as_given_too_early_are_caught: CompleteWhatIsInFlight,
    a_restart_that_marks_no_lost_details_is_caught: LeaveLostDetailsUnmarked,
    taking_the_mark_back_is_caught: QueueBehindTheMark,
    an_edit_that_makes_something_missed_is_caught: EditMakesMissed,
    an_edit_that_forgets_the_old_is_caught: EditForgetsTheOld,
    running_on_after_a_step_back_is_caught: RunOnAfterAStepBack,
    firing_early_is_caught: FireEarly,
    losing_a_one_shot_is_caught: LoseOneShot,
    overtaking_what_is_retried_is_caught: Overtake,
    resuming_from_now_is_caught: ResumeFromNow,
    sending_at_the_due_time_is_caught: SendAtTheDueTime,
    a_restart_that_does_not_look_back_is_caught: RestartWithoutLookingBack,
    pausing_without_a_record_is_caught: PauseWithoutRecord,
    settling_what_is_deferred_is_caught: SettleWhatIsDeferred,
    forgetting_how_far_it_reached_is_caught: ForgetHowFarItReached,
    calling_for_what_was_before_is_caught: CallForWhatWasBefore,
    coalescing_what_was_sent_before_a_step_back_is_caught: CoalesceWhatWasSentBefore,
    spans_above_the_reservation_are_caught: SendSpansAboveTheReservation,
    settling_what_is_gated_is_caught: SettleWhatIsGated,
    a_load_that_ends_what_was_put_is_caught: LoadEndsWhatWasPut,
    a_put_whose_gate_is_dropped_is_caught: DropTheGate,
    answering_one_ticket_early_is_caught: AnswerOneTicketEarly,
    telling_an_audit_too_early_that_the_record_is_complete_is_caught: AnswerBeforeRowsAreDurable,
    keeping_what_is_passed_over_is_caught: KeepWhatIsPassedOver,
    what_is_prepared_and_outlives_an_edit_is_caught: KeepPreparedThroughEdits,
    a_release_that_is_lost_because_nobody_is_bound_is_caught: ReleaseToNobody,
    dropping_what_is_in_flight_is_caught: DropWhatIsInFlight,
    a_release_before_it_is_saved_is_caught: ReleaseBeforeItIsSaved,
    releasing_a_run_as_one_is_caught: ReleaseARunAsOne,
    parking_over_gaps_is_caught: ParkOverGaps,
}

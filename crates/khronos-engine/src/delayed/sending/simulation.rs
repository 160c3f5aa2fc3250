//! A seeded simulation: a store that takes its time and loses what was not durable, H in a store of its own, a broker that refuses and
//! gives no answer, clients that put, move, delete and repeat themselves, persons who release and drop what is parked, and crashes
//! between any two of these. What is read is read at one moment and told at another. In some worlds there are rate ceilings, below
//! which schedules send, too. Every run is checked against the promises; every planted fault must be seen.

mod below;
mod promises;
mod world;

use super::{
    DelayedRules,
    faults::{Fault, plant},
};
use crate::Resends;
use world::World;

impl DelayedRules {
    /// Small, so that there is too much of everything; also of the simulation of several clocks.
    pub(crate) fn of_simulations() -> Self {
        Self {
            window: 1_000,
            most: 6,
            at_ceiling: 2,
            page: 3,
            in_flight: 4,
            waiting: 24,
            batch: 6,
            lead: 100,
            keeps_content: false,
            resends: Resends { count: 2, over: 200 },
        }
    }
}

/// What a run did: arrivals, how many of these were repeated, crashes, events that were changed, deleted, parked, released and
/// dropped, and those that were handed over below a ceiling later than they were due.
type Did = [usize; 9];

/// One run: what it did, or what it broke.
fn run(seed: u64) -> Result<Did, String> {
    let mut world = World::new(seed);
    let lived = world.live().and_then(|()| promises::at_the_end(&world));
    lived.map(|()| world.did()).map_err(|broken| format!("seed {seed}: {broken}"))
}

fn seeds() -> u64 {
    let scale = std::env::var("TEST_SCALE").ok().and_then(|scale| scale.parse().ok()).unwrap_or(1);
    1_500 * scale
}

#[test]
fn no_seed_breaks_a_promise() {
    plant(None);
    let mut did = Did::default();
    for seed in 0..seeds() {
        let this = run(seed).unwrap_or_else(|broken| panic!("{broken}"));
        did.iter_mut().zip(this).for_each(|(all, this)| *all += this);
    }
    println!(
        "arrivals, repeated, crashes, changed, deleted, parked, released, dropped, late by a ceiling: {did:?}"
    );
    let least = seeds() as usize;
    assert!(did[0] > 8 * least && did.iter().skip(1).all(|count| *count > least / 5), "{did:?}");
}

macro_rules! caught {
    ($($name:ident: $fault:ident,)*) => { $(
        #[test]
        fn $name() {
            plant(Some(Fault::$fault));
            let broken = (0..4 * seeds()).find_map(|seed| run(seed).err());
            plant(None);
            println!("{}", broken.expect("no seed shows the fault"));
        }
    )* };
}

caught! {
    handing_over_before_the_row_is_durable_is_caught: HandOverBeforeDurable,
    handing_over_above_h_is_caught: HandOverAboveH,
    handing_over_what_is_being_changed_is_caught: HandOverWhatIsBeingChanged,
    changing_what_may_have_been_sent_is_caught: ChangeWhatMayHaveBeenSent,
    taking_what_is_old_for_new_after_a_step_back_is_caught: TakeAllForNew,
    taking_what_is_new_for_old_after_a_step_back_is_caught: TakeAllForOld,
    answering_before_it_is_durable_is_caught: AnswerBeforeDurable,
    settling_what_no_answer_came_to_is_caught: SettleWhatIsLost,
    forgetting_what_was_refused_is_caught: ForgetWhatWasRefused,
    bringing_back_what_went_is_caught: BringBackWhatWent,
    bringing_back_what_was_replaced_is_caught: BringBackWhatWasReplaced,
    forgetting_what_was_decided_is_caught: ForgetWhatWasDecided,
    forgetting_what_had_no_room_is_caught: ForgetWhatHadNoRoom,
    trusting_a_page_that_was_read_before_is_caught: TrustThePage,
    leaving_out_what_is_put_and_due_soon_is_caught: LeaveOutWhatIsPut,
    forgetting_what_was_released_is_caught: ForgetWhatWasReleased,
    releasing_what_is_being_sent_is_caught: ReleaseWhatIsBeingSent,
    handing_over_what_is_being_dropped_is_caught: HandOverWhatIsBeingDropped,
    handing_over_what_is_judged_to_be_changed_is_caught: HandOverWhatIsJudged,
    writing_what_is_half_decided_is_caught: WriteWhatIsHalfDecided,
    half_of_what_is_all_or_nothing_is_caught: HalfOfAnAtomicRequest,
    handing_over_what_is_over_a_ceiling_is_caught: IgnoreTheCeilings,
    forgetting_what_waits_for_a_ceiling_in_the_store_is_caught: ForgetWhatWaitsInTheStore,
    trusting_a_page_of_a_ceiling_that_was_read_before_is_caught: TrustThePageOfACeiling,
}

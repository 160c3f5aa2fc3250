//! The one suite that every broker is held to: what it says about RabbitMQ is what RabbitMQ does, and the in-memory twin
//! does the same. A test binary gives a [`Harness`] to `conformance!`, which makes a test of each case.
//!
//! No case sleeps: what is to happen is waited for, with a deadline, and what is not to happen is shown by something
//! that happens after it.

mod asking;
mod consuming;
mod dead_letters;
mod declaring;
mod harness;
mod ladder;
mod looking;
mod losing;
mod publishing;
mod routing;
mod streams;
mod turning;

pub(crate) use harness::*;
pub(crate) mod cases {
    pub(crate) use super::{
        asking::*, consuming::*, dead_letters::*, declaring::*, ladder::*, looking::*, losing::*,
        publishing::*, routing::*, streams::*, turning::*,
    };
}

/// A test of each case: `conformance!(tokio::test(start_paused = true), |name| harness for a test of that name)`.
macro_rules! conformance {
    ($test:meta, $start:expr) => {
        conformance! { $test, $start,
            a_topic_exchange_routes_by_pattern
            a_direct_exchange_routes_by_the_equal_key
            a_fanout_exchange_routes_to_all
            the_default_exchange_routes_to_the_queue_of_that_name
            exchanges_bound_to_exchanges_route_on
            a_queue_bound_twice_gets_a_message_once
            an_alternate_exchange_takes_what_matches_nothing
            an_exchange_that_leads_nowhere_is_a_match_for_the_alternate_exchange
            a_mandatory_message_that_reaches_nobody_is_returned
            ten_thousand_publishings_get_exactly_one_settlement_each
            returns_are_matched_to_their_messages
            one_lane_keeps_its_order
            a_full_queue_that_rejects_publishings_nacks
            a_healthy_queue_has_what_a_full_one_beside_it_refused
            publishing_to_a_foreign_exchange_that_is_missing_costs_nothing_else
            an_exchange_of_its_own_that_is_deleted_is_declared_again_and_no_message_is_to_blame
            headers_of_all_types_and_all_properties_arrive_unchanged
            headers_nested_too_deep_are_refused_and_the_next_goes_on
            bodies_of_one_mebibyte_and_of_nothing_arrive
            prefetch_bounds_what_is_out
            what_is_acked_is_gone
            what_is_released_comes_again_as_redelivered
            a_quorum_queue_counts_how_often_it_was_given_back
            a_delivery_limit_leads_to_the_dead_letters
            whether_a_release_counts_towards_the_delivery_limit_depends_on_the_version
            consumers_of_one_queue_share_its_messages
            a_single_active_consumer_is_followed_by_the_next
            a_temporary_queue_is_bound_by_its_consumer_and_goes_with_it
            what_is_dead_is_dead_lettered_with_its_history
            a_message_that_expires_comes_back_through_the_dead_letter_exchange
            a_message_expires_by_its_own_expiration_only_at_the_head
            a_queue_drops_its_head_to_the_dead_letters_when_full
            a_letter_that_dies_by_itself_in_a_circle_is_dropped
            a_second_death_of_the_same_kind_is_counted
            a_dead_letter_that_reaches_nobody_is_gone
            declaring_twice_changes_nothing
            an_inequivalent_queue_is_reported_with_the_difference
            an_inequivalent_exchange_is_reported_with_the_difference
            a_binding_to_a_missing_exchange_is_reported
            consuming_a_missing_queue_is_reported_until_it_exists
            an_argument_of_the_wrong_kind_is_refused
            a_lost_connection_settles_all_and_redelivers_under_a_newer_generation
            the_link_shows_that_a_connection_is_lost_before_that_is_said_of_a_publishing
            what_was_settled_has_arrived_once_that_is_answered
            settling_a_delivery_of_a_lost_connection_is_void
            why_a_connection_was_lost_is_known_when_it_was_made_again
            why_a_deleted_queue_is_not_consumed_again_is_known
            a_consumer_of_a_deleted_queue_declares_it_again_and_goes_on
            dropping_a_consumer_gives_back_what_is_unsettled
            a_cautious_consumer_gets_one_at_a_time_until_it_is_widened
            a_wide_consumer_takes_another_prefetch_within_its_bound
            turning_under_load_loses_nothing_and_delivers_nothing_twice
            stopping_in_the_flow_makes_no_more_come_back_than_were_out
            stopping_amid_a_trickle_is_soon_done
            what_is_settled_while_it_stops_is_settled_though_it_is_dropped_at_once
            a_smaller_prefetch_is_not_granted_on_top_of_more_that_is_out
            a_cautious_consumer_is_narrow_again_after_it_lost_its_connection
            a_single_active_consumer_keeps_the_order_when_it_is_widened
            a_stopped_consumer_gets_nothing_more_and_still_settles
            a_paused_consumer_gets_nothing_until_it_is_resumed
            a_stream_gives_each_reader_all_from_its_beginning
            a_stream_is_read_from_its_beginning_after_each_loss
            a_stream_can_be_read_from_its_last_message
            a_settler_settles_from_elsewhere_until_the_consumer_is_dropped
            more_deliveries_than_anyone_takes_do_not_hold_settlements_up
            an_exclusive_consumer_is_alone
            a_queue_can_be_inspected
            what_a_queue_has_given_out_has_come_once_that_is_answered
            checking_declares_and_reports
            a_passive_topology_declares_nothing_and_names_what_is_missing
            an_error_of_one_consumer_does_not_disturb_the_others
            a_cancelled_consumer_counts_it_and_keeps_its_generation
            what_was_never_given_back_has_no_delivery_count
            answers_come_to_who_asked_in_whatever_order
            a_request_that_reaches_nobody_ends_at_once_and_says_why
            a_request_ends_when_its_connection_is_lost_and_may_be_asked_again
            a_rung_of_the_ladder_brings_a_message_back_to_its_queue
        }
    };
    ($test:meta, $start:expr, $($case:ident)*) => {
        $(#[$test]
        async fn $case() {
            let start = $start;
            let harness = start(stringify!($case));
            broker_conformance::case(stringify!($case), broker_conformance::cases::$case(&harness)).await;
        })*
    };
}

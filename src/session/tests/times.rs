//! The time of a turn, until its answer is with the connection.

use super::rig::Rig;
use crate::protocol::model::FinishReason;
use crate::protocol::turn::Lane;
use std::time::Duration;

#[tokio::test]
async fn an_answer_that_is_handed_over_late_is_told_with_its_time() {
    let rig = Rig::new();
    let session = rig.session().await;
    let (prompt, call) = rig.running(&session, "one").await;
    call.finish(FinishReason::EndTurn);
    prompt.answer_held(Duration::from_millis(20)).await.expect("a result");
    // The record is told anew a moment after the answer was handed over.
    loop {
        let times = rig.told(&session).await.times;
        let [time] = &times[..] else { panic!("one record, of two states: {times:?}") };
        assert_eq!(time.spent.iter().map(|spent| spent.us).sum::<u64>(), time.total_us);
        if time.spent.iter().any(|spent| spent.on == Lane::Answer && spent.us > 15_000) {
            break;
        }
        tokio::task::yield_now().await;
    }
}

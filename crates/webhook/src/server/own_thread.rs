//! Connections on threads of their own, while their requests come one right after the other.
//!
//! tokio serves connections well that wait most of the time, and crowds of them. A few that are busy wait for each other
//! there: a request that comes is looked at when those that came together before it are through, which makes the slowest
//! of a hundred. The operating system's scheduler is fairer, and to wait in `read` takes fewer calls. So a busy connection
//! moves to a thread of its own, and back as soon as it waits for anything but its caller, or for longer than [`PATIENCE`],
//! or is one of too many.

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::activity::Activity;
use super::crowd::{Crowd, Member};

/// How long a thread waits for its caller, be it for the next request or for the rest of one: a connection is busy while its
/// next request comes sooner than that.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Serves a connection to its end, on a thread of its own while it is busy among few.
pub(super) fn serve<C>(
    connection: C,
    activity: Activity,
    crowd: Arc<Crowd>,
) -> impl Future<Output = ()> + Send + 'static
where
    C: Future<Output = ()> + Send + 'static,
{
    // It is large, and whoever is given it moves it several times.
    let mut connection = Box::pin(connection);
    let mut member = Member::new(crowd);
    async move {
        loop {
            let ended = poll_fn(|cx| match poll(connection.as_mut(), cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending if activity.is_busy() && member.is_among_few() => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            });
            if ended.await {
                return;
            }
            let activity = activity.clone();
            match spawn_blocking(move || drive(connection, member, &activity)).await {
                Ok(Some(waits)) => (connection, member) = waits,
                Ok(None) => return,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // The program ends.
                    Err(_) => return,
                },
            }
        }
    }
}

/// Serves a connection on this thread, and gives it back when it is to wait elsewhere.
fn drive<C: Future<Output = ()>>(
    mut connection: Pin<Box<C>>,
    mut member: Member,
    activity: &Activity,
) -> Option<(Pin<Box<C>>, Member)> {
    let again = Arc::new(Again(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&again));
    let mut cx = Context::from_waker(&waker);
    activity.enter_thread();
    interrupt_nobody();
    loop {
        if poll(connection.as_mut(), &mut cx).is_ready() {
            return None;
        }
        let goes_on = again.0.swap(false, Ordering::Acquire) && activity.has_thread();
        if !goes_on || !member.is_among_few() {
            // tokio polls it before it waits: nothing is lost that wakes nobody here.
            activity.leave_thread();
            return Some((connection, member));
        }
    }
}

/// For both, so that what serves a connection, 150 KB, is in the program once.
#[inline(never)]
fn poll<C: Future<Output = ()>>(connection: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<()> {
    connection.poll(cx)
}

/// Has this thread wait until a processor is free or its turn has come, instead of interrupting whoever runs
/// (<https://man7.org/linux/man-pages/man7/sched.7.html>, `SCHED_BATCH`): a caller on the same processor that sends over several
/// connections gets to send all before they are answered. It stays so for whatever this thread does later on.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "what it is given is there, and it may be called at any time")]
pub fn interrupt_nobody() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // Where it is forbidden all the same, it costs some more processor time.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}

/// Elsewhere it cannot be asked for.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn interrupt_nobody() {}

/// Somebody wants it to be polled again.
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.swap(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::{mem, thread};

    use tokio::sync::oneshot;

    use super::super::activity::Phase;
    use super::*;

    fn busy() -> Activity {
        let activity = Activity::new();
        activity.enter(Phase::Idle);
        activity.begin_next();
        activity.enter(Phase::Idle);
        activity
    }

    /// Waits once, for nothing at all or to be asked again.
    async fn wait(again: bool) {
        let mut waited = false;
        poll_fn(|cx| {
            if again {
                cx.waker().wake_by_ref();
            }
            if mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_connection_has_a_thread_until_it_waits_for_something_else() {
        let (activity, tokios) = (busy(), thread::current().id());
        let (reach, reached) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let connection = {
            let activity = activity.clone();
            let place = move || (thread::current().id() == tokios, activity.has_thread());
            async move {
                let mut places = vec![place()];
                wait(false).await;
                places.push(place());
                wait(true).await;
                places.push(place());
                reach.send(()).unwrap();
                answered.await.unwrap();
                places.push(place());
                tell.send(places).unwrap();
            }
        };
        let served = tokio::spawn(serve(connection, activity.clone(), Arc::new(Crowd::new())));
        reached.await.unwrap();
        while activity.has_thread() {
            tokio::task::yield_now().await;
        }
        answer.send(()).unwrap();
        served.await.unwrap();
        assert_eq!(told.await.unwrap(), [(true, false), (false, true), (false, true), (true, false)]);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[tokio::test(start_paused = true)]
    #[allow(unsafe_code, reason = "it takes nothing that has to be there")]
    async fn its_thread_takes_the_processor_from_nobody() {
        let (tell, told) = oneshot::channel();
        let connection = async move {
            wait(false).await;
            tell.send(unsafe { libc::sched_getscheduler(0) }).unwrap();
        };
        tokio::spawn(serve(connection, busy(), Arc::new(Crowd::new()))).await.unwrap();
        assert_eq!(told.await.unwrap(), libc::SCHED_BATCH);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_busy_has_none() {
        let activity = Activity::new();
        activity.enter(Phase::Idle);
        let tokios = thread::current().id();
        let connection = async move {
            wait(true).await;
            assert_eq!(thread::current().id(), tokios);
        };
        tokio::spawn(serve(connection, activity, Arc::new(Crowd::new()))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_on_a_thread_is_one_of_the_connection() {
        let tokios = thread::current().id();
        let connection = async move {
            wait(false).await;
            assert_eq!(thread::current().id(), tokios, "it has a thread");
        };
        let served = tokio::spawn(serve(connection, busy(), Arc::new(Crowd::new())));
        assert!(served.await.unwrap_err().is_panic());
    }
}

//! Listening to fanout exchanges as Kombu does: who does not listen misses it.

use std::time::Duration;

use keyrail_core::kombu::Subscription;
use tokio::sync::mpsc;

use crate::{ExecuteError, Executor, Host, HostError, ReceivedMessage, deadline::deadline, names};

/// Hears what is published to a fanout exchange while it listens. Listens again when the connection breaks, gives no sign of
/// life for `health_check_interval`, or is cut off because 16,384 messages or 32 MiB wait to be read; and says so.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::{ExchangeKind, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, News, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options { kinds, ..Default::default() });
/// let mut fanout = host.listen("news", "").await.unwrap();
/// host.publish(&Outgoing::new("news", "", Envelope::text("hello"))).await.unwrap();
/// let News::Message(message) = fanout.next(Duration::from_secs(5)).await.unwrap() else { panic!() };
/// assert_eq!(message.body.as_text(), Some("hello"));
/// # });
/// ```
#[derive(Debug)]
pub struct FanoutListener {
    news: mpsc::Receiver<News>,
}

/// What a fanout exchange has to say.
///
/// ```
/// use std::time::Duration;
/// use keyrail_core::{ExchangeKind, kombu::{Envelope, Layout}};
/// use keyrail_redis::{Host, Memory, News, Outgoing, load};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
/// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options { kinds, ..Default::default() });
/// let mut fanout = host.listen("news", "").await.unwrap();
/// host.publish(&Outgoing::new("news", "", Envelope::text("hello"))).await.unwrap();
/// loop {
///     match fanout.next(Duration::from_millis(200)).await.unwrap() {
///         News::Message(message) => assert_eq!(message.body.as_text(), Some("hello")),
///         News::Gap => panic!("something was missed"),
///         News::Idle => break,
///     }
/// }
/// # });
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A message. One that is no envelope comes as a body of bytes.
    Message(Box<ReceivedMessage>),
    /// The listener was cut off and listens again: what was published in between is missed.
    Gap,
    /// Nothing came in time.
    Idle,
}

/// What was heard waits where it is bounded, before it is decoded.
const DECODED: usize = 1;

impl<E: Executor> Host<E> {
    /// Listens to a fanout exchange with a binding key: empty hears only messages without a routing key, `#` and `*` hear
    /// anything at their place.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::{ExchangeKind, kombu::{Envelope, Layout}};
    /// use keyrail_redis::{Host, Memory, News, Outgoing, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let kinds = [("news".to_owned(), ExchangeKind::Fanout)].into();
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options { kinds, ..Default::default() });
    /// let mut sports = host.listen("news", "sports.#").await.unwrap();
    /// for key in ["weather", "sports.chess"] {
    ///     host.publish(&Outgoing::new("news", key, Envelope::text(key))).await.unwrap();
    /// }
    /// let News::Message(heard) = sports.next(Duration::from_secs(5)).await.unwrap() else { panic!() };
    /// assert_eq!(heard.body.as_text(), Some("sports.chess"));
    /// assert!(host.listen("a/b", "").await.is_err(), "Kombu's listeners would raise");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`HostError::NotExpressible`] for a name that Kombu peers cannot live with; those of the executor.
    /// # Source
    /// Kombu's `kombu.transport.redis.Channel._subscribe` and `fanout_patterns`.
    pub async fn listen(&self, exchange: &str, binding_key: &str) -> Result<FanoutListener, HostError> {
        names::check_fanout(exchange)?;
        let pattern = Subscription::with_layout(self.layout(), exchange, binding_key).pattern().to_owned();
        let patterns = [pattern];
        let mut listener = self.executor().subscribe(&patterns).await?;
        let (sender, news) = mpsc::channel(DECODED);
        let host = self.clone();
        tokio::spawn(async move {
            loop {
                loop {
                    let heard = tokio::select! {
                        heard = listener.next() => heard,
                        () = sender.closed() => return,
                    };
                    let Some(heard) = heard else { break };
                    let message = ReceivedMessage::heard(&heard.channel, &heard.payload);
                    if sender.send(News::Message(message.into())).await.is_err() {
                        return;
                    }
                }
                let mut delay = Duration::from_millis(20);
                listener = loop {
                    if sender.is_closed() {
                        return;
                    }
                    match host.executor().subscribe(&patterns).await {
                        Ok(listener) => break listener,
                        Err(error) => {
                            tracing::warn!(
                                code = error.code(),
                                "cannot listen to `{}`: {error}",
                                patterns[0]
                            );
                        }
                    }
                    tokio::select! {
                        () = tokio::time::sleep(delay) => {}
                        () = sender.closed() => return,
                    }
                    delay = (delay * 2).min(Duration::from_secs(2));
                };
                if sender.send(News::Gap).await.is_err() {
                    return;
                }
            }
        });
        Ok(FanoutListener { news })
    }
}

impl FanoutListener {
    /// The next message, waiting for it at most so long. May be abandoned.
    ///
    /// ```
    /// use std::time::Duration;
    /// use keyrail_core::kombu::Layout;
    /// use keyrail_redis::{Host, Memory, News, load};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let host = Host::from_tables(Memory::new(), Layout::default(), load::Options::default());
    /// let mut fanout = host.listen("news", "").await.unwrap();
    /// assert_eq!(fanout.next(Duration::from_millis(20)).await, Ok(News::Idle));
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ExecuteError::Closed`] if the runtime ends.
    pub async fn next(&mut self, limit: Duration) -> Result<News, ExecuteError> {
        let deadline = deadline(limit);
        match tokio::time::timeout_at(deadline, self.news.recv()).await {
            Ok(Some(news)) => Ok(news),
            Ok(None) => Err(ExecuteError::Closed),
            Err(_) => Ok(News::Idle),
        }
    }
}

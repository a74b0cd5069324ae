//! The channels that are compared, behind one trait. Each is bounded, and closed by its last sender.

/// A bounded channel of values.
pub(crate) trait Channel {
    type Sender<T: Send + 'static>: Clone + Send + 'static;
    type Receiver<T: Send + 'static>: Clone + Send + 'static;

    fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);

    /// Waits while the channel is full.
    fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T);

    /// Waits while the channel is empty; `None` when it is closed.
    fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T>;
}

macro_rules! channel {
    ($(#[$attribute:meta])* $name:ident, $library:ident, $sender:ident, $receiver:ident) => {
        $(#[$attribute])*
        pub(crate) struct $name;

        $(#[$attribute])*
        impl Channel for $name {
            type Sender<T: Send + 'static> = $library::$sender<T>;
            type Receiver<T: Send + 'static> = $library::$receiver<T>;

            fn bounded<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>) {
                $library::bounded(capacity)
            }

            #[inline]
            fn send<T: Send + 'static>(sender: &Self::Sender<T>, value: T) {
                assert!(sender.send(value).is_ok(), "the receivers stay");
            }

            #[inline]
            fn recv<T: Send + 'static>(receiver: &Self::Receiver<T>) -> Option<T> {
                receiver.recv().ok()
            }
        }
    };
}

channel!(Heddle, heddle_channel, Sender, Receiver);
channel!(
    #[cfg(not(target_arch = "wasm32"))]
    Crossbeam,
    crossbeam_channel,
    Sender,
    Receiver
);
channel!(
    #[cfg(not(target_arch = "wasm32"))]
    Flume,
    flume,
    Sender,
    Receiver
);
channel!(
    #[cfg(not(target_arch = "wasm32"))]
    Kanal,
    kanal,
    Sender,
    Receiver
);

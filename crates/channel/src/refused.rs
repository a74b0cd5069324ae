//! Programs that must not compile, each with the error that refuses it.

/// A receiver goes to another thread exactly if its values may; `bounded` has the same of a sender.
///
/// ```compile_fail,E0277
/// let (_sender, receiver) = heddle_channel::bounded::<std::rc::Rc<u32>>(1);
/// std::thread::spawn(move || receiver.recv());
/// ```
///
/// A value that is borrowed doesn't go to a thread that may outlive it.
///
/// ```compile_fail,E0597
/// let (sender, receiver) = heddle_channel::bounded(1);
/// std::thread::spawn(move || receiver.recv().map(str::len));
/// let text = String::from("weft");
/// sender.send(text.as_str()).unwrap();
/// ```
struct ValueThatIsNotSent;

/// A channel has one type of values.
///
/// ```compile_fail,E0308
/// let (sender, _receiver) = heddle_channel::bounded(1);
/// sender.send(1_u32).unwrap();
/// sender.send("text").unwrap();
/// ```
///
/// Bytes go into a channel of bytes.
///
/// ```compile_fail,E0308
/// use heddle_channel::bytes;
/// bytes::channel(bytes::Options::default()).0.send(&[1_u32]).unwrap();
/// ```
struct ValueOfAnotherType;

/// A value that was sent is the receiver's.
///
/// ```compile_fail,E0382
/// let (sender, _receiver) = heddle_channel::bounded(1);
/// let text = String::from("weft");
/// sender.send(text).unwrap();
/// assert_eq!(text, "weft");
/// ```
struct SentAndKept;

/// Bytes in the ring are written before they are committed, and never after.
///
/// ```compile_fail,E0382
/// use heddle_channel::bytes;
/// let (sender, _receiver) = bytes::channel(bytes::Options::default());
/// let mut place = sender.reserve(1).unwrap();
/// place.commit().unwrap();
/// place[0] = 1;
/// ```
///
/// They are read as long as they are borrowed, and not written.
///
/// ```compile_fail,E0505
/// use heddle_channel::bytes;
/// let (sender, receiver) = bytes::channel(bytes::Options::default());
/// sender.send(b"weft").unwrap();
/// let borrow = receiver.borrow().unwrap();
/// let message: &[u8] = &borrow;
/// drop(borrow);
/// assert_eq!(message, b"weft");
/// ```
///
/// ```compile_fail,E0594
/// use heddle_channel::bytes;
/// let (sender, receiver) = bytes::channel(bytes::Options::default());
/// sender.send(b"weft").unwrap();
/// receiver.borrow().unwrap()[0] = 0;
/// ```
///
/// And neither outlives its end.
///
/// ```compile_fail,E0597
/// use heddle_channel::bytes;
/// let place = {
///     let (sender, _receiver) = bytes::channel(bytes::Options::default());
///     sender.reserve(1).unwrap()
/// };
/// drop(place);
/// ```
struct BytesInPlace;

/// A receiver of a broadcast, or of a watched value, is one reader's: what it has seen changes as it reads.
///
/// ```compile_fail,E0596
/// use heddle_channel::broadcast;
/// let (_sender, receiver) = broadcast::channel(broadcast::Options::default());
/// let _ = receiver.try_recv();
/// ```
///
/// ```compile_fail,E0596
/// let (_sender, receiver) = heddle_channel::watch::channel(b"weft", 8);
/// let _ = receiver.changed();
/// ```
struct ReaderThatIsShared;

/// A select looks at its channels as long as it lives.
///
/// ```compile_fail,E0597
/// use heddle_channel::{Select, bounded};
/// let mut select = Select::new();
/// {
///     let (_sender, receiver) = bounded::<u32>(1);
///     select.recv(&receiver);
/// }
/// let _ = select.try_ready();
/// ```
///
/// It receives from receivers, and sends to senders.
///
/// ```compile_fail,E0277
/// use heddle_channel::{Select, bounded};
/// let (sender, _receiver) = bounded::<u32>(1);
/// Select::new().recv(&sender);
/// ```
struct SelectOfWhatIsGone;

/// That a value was not sent is not to be overlooked.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// heddle_channel::bounded(1).0.try_send(1);
/// ```
///
/// A future does nothing before it is awaited.
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// let (sender, _receiver) = heddle_channel::bounded(1);
/// sender.send_async(1);
/// ```
struct ErrorOverlooked;

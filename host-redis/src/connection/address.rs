//! Kombu's URLs.

use std::{fmt, path::PathBuf};

use url::Url;

use super::{ConnectionError, Login};

/// Where to connect to, and as whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) db: u32,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Tcp(Node),
    Unix(PathBuf),
    /// The sentinels; the primary's name is a transport option, as in Kombu.
    Sentinels(Vec<Node>),
    /// Any nodes of a cluster: the others are found from them.
    Cluster(Vec<Node>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The parameters `ssl_…` of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    /// False after `ssl_cert_reqs=none`.
    pub(crate) verified: bool,
    /// False after `ssl_check_hostname=false`.
    pub(crate) check_hostname: bool,
    pub(crate) ca_certs: Option<PathBuf>,
    pub(crate) certfile: Option<PathBuf>,
    pub(crate) keyfile: Option<PathBuf>,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Without login: it goes into logs and errors.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |nodes: &[Node]| nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(", ");
        match &self.place {
            Place::Tcp(node) => node.fmt(f),
            Place::Unix(path) => path.display().fmt(f),
            Place::Sentinels(nodes) => write!(f, "the primary of the sentinels at {}", joined(nodes)),
            Place::Cluster(nodes) => write!(f, "the cluster at {}", joined(nodes)),
        }
    }
}

/// For whoever gave something else. No error quotes what was given: where the URL is cut at the wrong place, a part of the
/// password stands where host, database or parameter are read.
const EXPECTED: &str = "expected redis://[user:password@]host[:port][/db], rediss://, unix:///path, sentinel://host:port \
    or redis+cluster://host:port";

const QUOTE: &str = "quote special characters of user, password and path as %XX, an @ as %40";

/// What else brokers and pages are reached by: words that no password is.
const OTHERS: [&str; 9] =
    ["amqp", "amqps", "pyamqp", "http", "https", "memory", "sqs", "tcp", "redis+sentinel"];

const UNKNOWN_PARAMETER: &str = "it has a parameter that is not known; expected virtual_host or db, username, password or \
    pass, ssl_cert_reqs, ssl_check_hostname, ssl_ca_certs, ssl_certfile or ssl_keyfile; quote an & as %26";

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Tcp,
    Unix,
    Sentinel,
    Cluster,
}

impl Address {
    /// Reads one URL, or several with `;` between them for sentinels and clusters.
    ///
    /// # Errors
    /// What is wrong, never with the URL: it may hold a password.
    pub(crate) fn read(text: &str) -> Result<Self, ConnectionError> {
        let mut urls = text.split(';').map(str::trim).filter(|url| !url.is_empty());
        let first = urls.next().ok_or_else(|| refused(&format!("it is empty; {EXPECTED}")))?;
        let (scheme, mut address) = one(first)?;
        for url in urls {
            let (other, further) = one(url)?;
            let known = match (&mut address.place, further.place) {
                (Place::Sentinels(known), Place::Sentinels(nodes))
                | (Place::Cluster(known), Place::Cluster(nodes))
                    if other == scheme =>
                {
                    known.extend(nodes);
                    true
                }
                _ => false,
            };
            if !known {
                return Err(refused("only the URLs of sentinels or of a cluster can be several"));
            }
            // Kombu takes the database and the login from the URL that has them.
            if further.db != 0 {
                address.db = further.db;
            }
            if address.login == Login::default() {
                address.login = further.login;
            }
            address.tls = address.tls.or(further.tls);
        }
        if scheme == Scheme::Cluster && address.db != 0 {
            return Err(refused("a cluster has database 0 alone"));
        }
        Ok(address)
    }
}

fn one(text: &str) -> Result<(Scheme, Address), ConnectionError> {
    // The parser would cut at the first, take the second for a slash, and leave the others out.
    if text.contains(|character: char| matches!(character, '#' | '\\') || character.is_ascii_control()) {
        return Err(refused(&format!("it has a `#`, a backslash or a control character; {QUOTE}")));
    }
    let (name, rest) =
        text.split_once("://").ok_or_else(|| refused(&format!("it has no scheme; {EXPECTED}")))?;
    let (scheme, secure) = match name {
        "redis" | "valkey" => (Scheme::Tcp, false),
        "rediss" | "valkeys" => (Scheme::Tcp, true),
        "unix" | "redis+unix" | "redis+socket" => (Scheme::Unix, false),
        "sentinel" => (Scheme::Sentinel, false),
        "redis+cluster" => (Scheme::Cluster, false),
        "rediss+cluster" => (Scheme::Cluster, true),
        other => {
            let known = OTHERS.iter().find(|known| **known == other);
            let scheme = known.map_or_else(|| "its scheme".into(), |known| format!("the scheme `{known}`"));
            return Err(refused(&format!("{scheme} is not Redis'; {EXPECTED}")));
        }
    };
    // A scheme that the parser knows, so that it splits user, host and port.
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    // Where there is an authority, this may be the end of a password.
    if !authority.is_empty() && path.contains('@') {
        return Err(refused(&format!("an `@` comes behind the first `/` or `?`; {QUOTE}")));
    }
    let host = if authority.is_empty() || authority.ends_with('@') { NO_HOST } else { "" };
    let url = Url::parse(&format!("http://{authority}{host}{path}"))
        .map_err(|_| refused(&format!("host, port or password cannot be read; {QUOTE}")))?;
    let decoded = |text: &str| percent_decoded(text).ok_or_else(|| refused("a part of it is not UTF-8"));
    let mut login = Login::default();
    if !url.username().is_empty() {
        login.username = Some(decoded(url.username())?);
    }
    login.password = url.password().filter(|password| !password.is_empty()).map(decoded).transpose()?;
    let path = decoded(url.path())?;
    let mut db = match scheme {
        Scheme::Unix => 0,
        _ => database(path.trim_start_matches('/'))?,
    };
    let mut tls = secure.then_some(Tls::new());
    for (name, value) in url.query_pairs() {
        match &*name {
            "virtual_host" | "db" => db = database(value.trim_start_matches('/'))?,
            "username" => login.username = Some(value.into_owned()),
            "password" | "pass" => login.password = Some(value.into_owned()),
            name if name.starts_with("ssl_") => tls.get_or_insert_with(Tls::new).set(name, &value)?,
            _ => return Err(refused(UNKNOWN_PARAMETER)),
        }
    }
    let default_port = if scheme == Scheme::Sentinel { SENTINEL_PORT } else { PORT };
    let host = match url.host_str() {
        Some(NO_HOST) if scheme == Scheme::Unix => NO_HOST.to_owned(),
        None | Some(NO_HOST) => "127.0.0.1".to_owned(),
        Some(host) => decoded(host.trim_start_matches('[').trim_end_matches(']'))?,
    };
    // The parser drops port 80, which is http's own.
    let port = url.port_or_known_default().filter(|_| has_port(authority)).unwrap_or(default_port);
    let node = Node { host, port };
    let place = match scheme {
        Scheme::Tcp => Place::Tcp(node),
        Scheme::Unix if node.host != NO_HOST => {
            return Err(refused("a socket's URL has no host; expected three slashes, as unix:///path"));
        }
        Scheme::Unix if path.len() < 2 => return Err(refused("it names no socket; expected unix:///path")),
        Scheme::Unix => Place::Unix(path.into()),
        Scheme::Sentinel => Place::Sentinels(vec![node]),
        Scheme::Cluster => Place::Cluster(vec![node]),
    };
    Ok((scheme, Address { place, login, db, tls }))
}

/// Stands where a URL has no host, because the parser wants one.
const NO_HOST: &str = "-";

fn has_port(authority: &str) -> bool {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn database(text: &str) -> Result<u32, ConnectionError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        refused(&format!("its database is no number, expected one like redis://host/0; {QUOTE}"))
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

impl Tls {
    const fn new() -> Self {
        Tls { verified: true, check_hostname: true, ca_certs: None, certfile: None, keyfile: None }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ConnectionError> {
        match name {
            "ssl_cert_reqs" => {
                self.verified = match value {
                    "required" | "CERT_REQUIRED" | "optional" | "CERT_OPTIONAL" => true,
                    "none" | "CERT_NONE" => false,
                    _ => {
                        return Err(refused("`ssl_cert_reqs`: expected required, optional or none"));
                    }
                }
            }
            "ssl_check_hostname" => self.check_hostname = !value.eq_ignore_ascii_case("false"),
            "ssl_ca_certs" => self.ca_certs = Some(value.into()),
            "ssl_certfile" => self.certfile = Some(value.into()),
            "ssl_keyfile" => self.keyfile = Some(value.into()),
            _ => return Err(refused(UNKNOWN_PARAMETER)),
        }
        Ok(())
    }
}

fn refused(reason: &str) -> ConnectionError {
    ConnectionError::Url { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp(Node { host: host.into(), port })
    }

    fn login(username: Option<&str>, password: Option<&str>) -> Login {
        Login { username: username.map(Into::into), password: password.map(Into::into) }
    }

    #[test]
    fn kombus_urls() {
        for (text, place, expected, db) in [
            ("redis://", tcp("127.0.0.1", 6379), login(None, None), 0),
            ("redis:///3", tcp("127.0.0.1", 6379), login(None, None), 3),
            ("redis://h", tcp("h", 6379), login(None, None), 0),
            ("redis://h:80/1", tcp("h", 80), login(None, None), 1),
            ("redis://:p%40ss@h:1/2", tcp("h", 1), login(None, Some("p@ss")), 2),
            ("redis://u:p@[::1]:7/", tcp("::1", 7), login(Some("u"), Some("p")), 0),
            ("redis://h/?virtual_host=4", tcp("h", 6379), login(None, None), 4),
            (
                "redis+socket:///tmp/r.sock?virtual_host=5",
                Place::Unix("/tmp/r.sock".into()),
                login(None, None),
                5,
            ),
            ("redis+socket://:pw@/tmp/r.sock", Place::Unix("/tmp/r.sock".into()), login(None, Some("pw")), 0),
            (
                "unix:///tmp/a%20b.sock?db=1&pass=x",
                Place::Unix("/tmp/a b.sock".into()),
                login(None, Some("x")),
                1,
            ),
        ] {
            let address = Address::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (address.place, address.login, address.db, address.tls),
                (place, expected, db, None),
                "{text}"
            );
        }
    }

    #[test]
    fn several_nodes_and_tls() {
        let node = |host: &str, port| Node { host: host.into(), port };
        let address = Address::read("sentinel://:pw@a:1;sentinel://b;sentinel://c:3/2").unwrap();
        assert_eq!(address.place, Place::Sentinels(vec![node("a", 1), node("b", 26379), node("c", 3)]));
        assert_eq!((address.login, address.db), (login(None, Some("pw")), 2));
        let address = Address::read("sentinel://a?db=3;sentinel://u:pw@b/4;sentinel://:no@c").unwrap();
        assert_eq!((address.login, address.db), (login(Some("u"), Some("pw")), 4));
        let address = Address::read("rediss+cluster://a;rediss+cluster://b?ssl_cert_reqs=none").unwrap();
        assert!(address.tls.unwrap().verified, "the first one's");
        let address = Address::read("sentinel://a;sentinel://b?ssl_cert_reqs=none").unwrap();
        assert!(!address.tls.unwrap().verified, "of who has one");
        let address = Address::read("redis+cluster://a:1;redis+cluster://b:2").unwrap();
        assert_eq!(address.place, Place::Cluster(vec![node("a", 1), node("b", 2)]));
        let tls = Address::read("rediss://h?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem").unwrap().tls.unwrap();
        assert_eq!(tls, Tls { verified: false, ca_certs: Some("/ca.pem".into()), ..Tls::new() });
    }

    /// What they say instead of quoting it.
    #[test]
    fn a_bad_url_is_told_what_to_do() {
        for (text, expected) in [
            ("redis://user:/s3cret@h/0", "as %XX"),
            ("redis://user:12/s3cret@h/0", "an `@` comes behind the first `/` or `?`"),
            ("redis://u:12?s3cret@h/0", "an @ as %40"),
            ("redis://h/0?password=abc&s3cret", "an & as %26"),
            ("redis://s3cret#x@h", "`#`"),
            ("redis://h/x", "redis://host/0"),
            ("u:s3cret@redis://h", "expected redis://"),
            ("unix://tmp/x.sock", "unix:///path"),
            ("redis+socket://:pw@host/tmp/x.sock", "unix:///path"),
        ] {
            let error = Address::read(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        // Nobody could take these for the end of a password.
        let socket = Address::read("unix:///tmp/a@b.sock?pass=x@y").expect("a socket");
        assert_eq!(
            (socket.place, socket.login),
            (Place::Unix("/tmp/a@b.sock".into()), login(None, Some("x@y")))
        );
    }

    #[test]
    fn a_bad_url_is_refused_and_never_quoted() {
        for text in [
            "",
            ";",
            "secret",
            "amqp://u:secret@h",
            "redis://u:secret@h:99999",
            "redis://u:secret@h:port",
            "redis://u:secret@h/db",
            "redis://u:secret@h/-1",
            "redis://u:secret@h/99999999999",
            "redis://u:secret@h?color=red",
            "redis://u:secret@h;redis://u:secret@g",
            "sentinel://u:secret@h;redis://u:secret@g",
            "redis+cluster://u:secret@h/1",
            "redis+socket://u:secret@",
            "rediss://u:secret@h?ssl_cert_reqs=maybe",
            "redis://u:secret@h\0h",
            "redis://u:%ff@h",
            // Cut at the wrong place.
            "redis://user:/secret@h/0",
            "redis://user:12/secret@h/0",
            "redis://h/0?password=abc&secret",
            "redis://u:12?secret@h/0",
            "redis://h?ssl_secret=1",
            "redis://h?db=secret",
            "rediss://h?ssl_cert_reqs=secret",
            "u:secret@redis://h",
            "redis://u:a;secret@h",
            "redis://secret#x@127.0.0.1:7391",
            "redis://u:12\\secret@h/0",
            "redis://u:sec\nret@h/0",
            "redis+socket://u:a@/secret@/tmp/r.sock",
            "unix://secret/x.sock",
        ] {
            let error = Address::read(text).expect_err(text);
            assert_eq!(error.code(), "invalid-url", "{text}");
            assert!(!error.to_string().contains("secret"), "{text}: {error}");
        }
        let address = Address::read("redis://u:secret@h").unwrap();
        assert!(!format!("{address} {address:?}").contains("secret"));
    }
}

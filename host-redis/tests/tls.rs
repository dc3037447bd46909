//! `rediss://` against a real redis-server with TLS: who is trusted, who is not, and that no error tells a password.

mod support;

use std::{process::Command, time::Duration};

use keyrail_core::kombu::Layout;
use keyrail_redis::{
    Connection, ConsumerOptions, Freshness, Host, Message, Next, Producer, ProducerOptions, load,
};
use support::{Folder, PATIENCE, RedisServer, free_port};

const PASSWORD: &str = "open-sesame";

/// Certificates of one authority, in files.
struct Authority {
    folder: Folder,
}

impl Authority {
    fn new() -> Self {
        let authority = Authority { folder: Folder::new() };
        let (key, certificate) = (authority.path("ca.key"), authority.path("ca.pem"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=An authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ]);
        authority
    }

    /// The certificate and the key of this subject, signed: `name.pem` and `name.key`.
    fn certify(&self, name: &str, subject_alternative: &str) -> (String, String) {
        let (key, request) = (self.path(&format!("{name}.key")), self.path(&format!("{name}.csr")));
        let certificate = self.path(&format!("{name}.pem"));
        openssl(&[
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        let extensions =
            self.folder.file(&format!("{name}.ext"), format!("subjectAltName={subject_alternative}\n"));
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &self.path("ca.pem"),
            "-CAkey",
            &self.path("ca.key"),
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
        (certificate, key)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path(name)
    }

    fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// A server whose certificate is for this name; clients must have one of their own if it says so.
    fn serve(&self, subject_alternative: &str, clients: bool) -> Secure {
        let (certificate, key) = self.certify("server", subject_alternative);
        let (plain, tls) = (free_port(), free_port());
        let server = RedisServer::start_on(
            plain,
            &[
                "--tls-port",
                &tls.to_string(),
                "--tls-cert-file",
                &certificate,
                "--tls-key-file",
                &key,
                "--tls-ca-cert-file",
                &self.ca(),
                "--tls-auth-clients",
                if clients { "yes" } else { "no" },
            ],
        );
        Secure { server, port: tls }
    }
}

struct Secure {
    server: RedisServer,
    port: u16,
}

impl Secure {
    fn url(&self, host: &str, parameters: &[(&str, &str)]) -> String {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("rediss://:{PASSWORD}@{host}:{}/0?{}", self.port, parameters.join("&"))
    }

    fn require_password(&self) {
        assert_eq!(self.server.command(&["CONFIG", "SET", "requirepass", PASSWORD]), "+OK\r\n");
    }
}

#[track_caller]
fn openssl(args: &[&str]) {
    let done = Command::new("openssl").args(args).output();
    let done = done.unwrap_or_else(|error| panic!("cannot run openssl: {error}; install openssl"));
    assert!(done.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Connects and asks something.
async fn ping(url: &str) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display, debug: String| {
        let text = error.to_string();
        assert!(!text.contains("sesame") && !debug.contains("sesame"), "a password is told: {text} {debug}");
        text
    };
    let connection = Connection::new(url).map_err(|error| told(&error, format!("{error:?}")))?;
    assert!(!format!("{connection:?}").contains("sesame"), "{connection:?}");
    match connection.connect().await {
        Ok(_) => Ok(()),
        Err(error) => Err(told(&error, format!("{error:?}"))),
    }
}

#[track_caller]
fn assert_names(answer: Result<(), String>, words: &[&str]) {
    let error = answer.expect_err("refused").to_lowercase();
    assert!(words.iter().all(|word| error.contains(&word.to_lowercase())), "{error}: {words:?} is missing");
}

#[tokio::test]
async fn messages_go_both_ways_over_tls() {
    let authority = Authority::new();
    let secure = authority.serve("DNS:localhost,IP:127.0.0.1", false);
    secure.require_password();
    for host in ["localhost", "127.0.0.1"] {
        let connection =
            Connection::new(&secure.url(host, &[("ssl_ca_certs", &authority.ca())])).expect("a URL");
        for freshness in [Freshness::Tracked, Freshness::Strict, Freshness::EachPublish] {
            let options = ProducerOptions::new().freshness(freshness);
            let producer = Producer::connect(&connection, options).await.expect("a producer");
            let confirm = producer.publish(&Message::text("x").routing_key("q")).await.expect("published");
            assert_eq!(confirm.queues, ["q"], "{freshness:?}");
        }
        // Waiting is a connection of its own, and so is listening.
        let redis = connection.connect().await.expect("Redis");
        let host = Host::from_tables(redis, Layout::default(), load::Options::default());
        let mut listener = host.listen("news", "").await.expect("a listener");
        let mut consumer =
            host.consumer(vec!["q".into(), "late".into()], ConsumerOptions::default()).expect("a consumer");
        for _ in 0..3 {
            take(&mut consumer).await;
        }
        let producer = Producer::connect(&connection, ProducerOptions::new()).await.expect("a producer");
        let later = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            producer.publish(&Message::text("x").routing_key("late")).await.expect("published");
        });
        take(&mut consumer).await;
        later.await.expect("a task");
        consumer.close().await.expect("closed");
        let envelope = keyrail_core::kombu::Envelope::text("news");
        let publish = keyrail_core::kombu::plan::Publish::new("news", "", &envelope);
        let plan = keyrail_core::kombu::plan::publish_fanout(host.layout(), &publish, "tag");
        keyrail_redis::Executor::run(host.executor(), &plan).await.expect("published");
        assert!(matches!(listener.next(PATIENCE).await, Ok(keyrail_redis::News::Message(_))));
    }
}

async fn take(consumer: &mut keyrail_redis::Consumer) {
    match consumer.next(PATIENCE).await.expect("taken") {
        Next::Delivery(delivery) => {
            delivery.ack().await.expect("acked");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let secure = authority.serve("DNS:localhost", false);
    secure.require_password();
    let (ca, other) = (authority.ca(), stranger.ca());
    assert_eq!(ping(&secure.url("localhost", &[("ssl_ca_certs", &ca)])).await, Ok(()));
    // An authority of somebody else's, or the system's.
    for parameters in [
        &[("ssl_ca_certs", &*other)][..],
        &[],
        &[("ssl_ca_certs", &*other), ("ssl_check_hostname", "false")],
        &[("ssl_ca_certs", &*other), ("ssl_cert_reqs", "optional")],
    ] {
        assert_names(ping(&secure.url("localhost", parameters)).await, &["certificate"]);
    }
    // Another host name than the certificate's.
    assert_names(ping(&secure.url("127.0.0.1", &[("ssl_ca_certs", &ca)])).await, &["certificate", "name"]);
    let unchecked = [("ssl_ca_certs", &*ca), ("ssl_check_hostname", "false")];
    assert_eq!(ping(&secure.url("127.0.0.1", &unchecked)).await, Ok(()));
    // Nothing is checked where that is asked for, under each of Kombu's and Celery's words for it.
    for word in ["none", "CERT_NONE"] {
        for host in ["localhost", "127.0.0.1"] {
            assert_eq!(ping(&secure.url(host, &[("ssl_cert_reqs", word)])).await, Ok(()), "{word}");
        }
    }
    for word in ["required", "CERT_REQUIRED"] {
        let parameters = [("ssl_cert_reqs", word), ("ssl_ca_certs", &*other)];
        assert_names(ping(&secure.url("localhost", &parameters)).await, &["certificate"]);
    }
    // The other protocol than the one that is spoken there.
    let plain = format!("redis://:{PASSWORD}@localhost:{}/0?socket_timeout=2", secure.port);
    assert!(ping(&plain).await.is_err());
    let tls_to_plain = format!("rediss://:{PASSWORD}@localhost:{}/0", secure.server.port);
    assert!(ping(&tls_to_plain).await.is_err());
    // A wrong password, over TLS.
    let wrong = secure.url("localhost", &[("ssl_ca_certs", &ca)]).replace(PASSWORD, "not-open-sesame");
    assert_names(ping(&wrong).await, &["password"]);
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_it() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let secure = authority.serve("DNS:localhost", true);
    secure.require_password();
    let ca = authority.ca();
    let (certificate, key) = authority.certify("client", "DNS:client");
    let (strange, strange_key) = stranger.certify("client", "DNS:client");
    let with = |certificate: &str, key: &str| {
        secure.url("localhost", &[("ssl_ca_certs", &ca), ("ssl_certfile", certificate), ("ssl_keyfile", key)])
    };
    assert_eq!(ping(&with(&certificate, &key)).await, Ok(()));
    assert_names(ping(&with(&strange, &strange_key)).await, &["certificate"]);
    assert_names(ping(&secure.url("localhost", &[("ssl_ca_certs", &ca)])).await, &["certificate"]);
    // What is wrong on this side is named before anybody is asked.
    let alone = secure.url("localhost", &[("ssl_ca_certs", &ca), ("ssl_certfile", &certificate)]);
    assert_names(ping(&alone).await, &["ssl_certfile", "ssl_keyfile"]);
    assert_names(ping(&with("/no/such.pem", &key)).await, &["/no/such.pem"]);
    let missing = secure.url("localhost", &[("ssl_ca_certs", "/no/ca.pem")]);
    assert_names(ping(&missing).await, &["/no/ca.pem"]);
    let nothing = authority.folder.file("nothing.pem", "nothing");
    assert_names(ping(&secure.url("localhost", &[("ssl_ca_certs", &nothing)])).await, &["nothing.pem"]);
    assert_names(ping(&with(&certificate, &nothing)).await, &["nothing.pem"]);
}

//! Certificates for `rediss://`.

use std::path::Path;

use ::redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};

use super::address::Tls;
use crate::ExecuteError;

pub(super) fn address(host: &str, port: u16, tls: Option<&Tls>) -> ConnectionAddr {
    match tls {
        None => ConnectionAddr::Tcp(host.into(), port),
        Some(tls) => {
            ConnectionAddr::TcpTls { host: host.into(), port, insecure: !tls.verified, tls_params: None }
        }
    }
}

/// A client with the certificates of the URL; the system's roots where it names none.
///
/// # Errors
/// A file that cannot be read, a key without its certificate, text that is no PEM.
pub(super) fn client(info: ConnectionInfo, tls: Option<&Tls>) -> Result<Client, ExecuteError> {
    let Some(tls) = tls else { return Client::open(info).map_err(refused) };
    let mut client = Client::build_with_tls(info, certificates(tls)?).map_err(refused)?;
    if !tls.check_hostname {
        let mut info = client.get_connection_info().clone();
        let mut address = info.addr().clone();
        address.set_danger_accept_invalid_hostnames(true);
        info = info.set_addr(address);
        client = Client::open(info).map_err(refused)?;
    }
    Ok(client)
}

pub(super) fn certificates(tls: &Tls) -> Result<TlsCertificates, ExecuteError> {
    let client_tls = match (&tls.certfile, &tls.keyfile) {
        (Some(certificate), Some(key)) => {
            let (client_cert, client_key) = (read(certificate, CERTIFICATE)?, read(key, PRIVATE_KEY)?);
            Some(ClientTlsConfig { client_cert, client_key })
        }
        (None, None) => None,
        _ => return Err(reason("ssl_certfile and ssl_keyfile belong together".into())),
    };
    let root_cert = tls.ca_certs.as_deref().map(|path| read(path, CERTIFICATE)).transpose()?;
    Ok(TlsCertificates { client_tls, root_cert })
}

/// The ends of the lines that begin these things in PEM: a private key has its kind before them.
const CERTIFICATE: &str = "CERTIFICATE-----";
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

fn read(path: &Path, content: &str) -> Result<Vec<u8>, ExecuteError> {
    let file = path.display();
    let bytes = std::fs::read(path).map_err(|error| reason(format!("cannot read `{file}`: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    let begins = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(content);
    if !text.lines().any(begins) {
        let expected = content.trim_end_matches('-').to_lowercase();
        return Err(reason(format!("`{file}` holds no {expected} in PEM")));
    }
    Ok(bytes)
}

fn refused(error: ::redis::RedisError) -> ExecuteError {
    reason(format!("TLS: {error}"))
}

fn reason(reason: String) -> ExecuteError {
    ExecuteError::Url { reason: reason.into() }
}

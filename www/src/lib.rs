//! The page of keyrail, embedded at build time.
//!
//! A server asks for what the browser asked it for, and sends the answer with three headers:
//!
//! ```
//! let page = keyrail_www::asset("/").expect("there is always a page");
//! assert_eq!(page.content_type, "text/html; charset=utf-8"); // Content-Type
//! assert_eq!(page.cache, "no-cache"); // Cache-Control
//! assert!(keyrail_www::CONTENT_SECURITY_POLICY.contains("default-src 'none'")); // Content-Security-Policy
//! ```
//!
//! If the page was not built, there is a small one in its place that says how to build it; see [`BUILT`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::borrow::Cow;

// `FILES`, sorted by name, and `PAGE_IS_BUILT`.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The policy under which the page runs: nothing inline, nothing from elsewhere, no string becomes code or markup.
/// To be sent with every answer, whatever its type.
pub const CONTENT_SECURITY_POLICY: &str = include_str!("../csp.txt").trim_ascii();

/// Whether the page was built (`make www`) when this crate was compiled.
pub const BUILT: bool = PAGE_IS_BUILT;

/// Says how to build the page, in a page. No script, no style: the policy forbids both inline.
const UNBUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>keyrail</title>\n\
    <h1>keyrail</h1>\n<p>This program was compiled without its page. To build both, run <code>make www</code> and \
    compile again. The HTTP interface works all the same.</p>\n</html>\n";

/// Vite puts a hash of the content into the name of every file in this folder.
const HASHED: &str = "assets/";

/// A file of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// For the header `Cache-Control`: for ever if the name changes with the content, else ask again each time.
    pub cache: &'static str,
}

/// The file at a path as in an address, without query and with or without the first slash; `/` is the page itself.
///
/// Only names of the table that the build wrote are found: no path leads to a file system.
pub fn asset(path: &str) -> Option<Asset> {
    let name = match path.strip_prefix('/').unwrap_or(path) {
        "" => "index.html",
        name => name,
    };
    if !BUILT {
        return (name == "index.html").then(|| found(name, UNBUILT.as_bytes()));
    }
    let at = FILES.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(found(name, FILES[at].1))
}

fn found(name: &str, bytes: &'static [u8]) -> Asset {
    let cache = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    Asset { bytes: Cow::Borrowed(bytes), content_type: content_type(name), cache }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        // Browsers compile while it arrives only if the type is exactly this.
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(asset: &Asset) -> &str {
        std::str::from_utf8(&asset.bytes).expect("the page is UTF-8")
    }

    #[test]
    fn the_root_is_the_page() {
        let page = asset("/").expect("there is always a page");
        assert_eq!(Some(&page), asset("").as_ref());
        assert_eq!(Some(&page), asset("/index.html").as_ref());
        assert_eq!((page.content_type, page.cache), ("text/html; charset=utf-8", "no-cache"));
        assert!(text(&page).starts_with("<!doctype html>"));
        assert_eq!(text(&page).contains("make www"), !BUILT);
    }

    #[test]
    fn nothing_outside_the_table_is_found() {
        for path in [
            "/nowhere",
            "//",
            "/./index.html",
            "/../Cargo.toml",
            "/assets/../index.html",
            "/assets",
            "/assets/",
            "/.inputs",
            "/index.html/",
            "/index.html\0",
            "/%2e%2e/Cargo.toml",
            "\\index.html",
            "/etc/passwd",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[test]
    fn what_the_page_names_is_there_and_stays_in_caches() {
        let page = asset("/").expect("there is always a page");
        let named: Vec<&str> = text(&page)
            .split('"')
            .filter_map(|part| part.strip_prefix("./").or(part.strip_prefix('/')))
            .collect();
        assert_eq!(named.is_empty(), !BUILT, "{named:?}");
        for name in named {
            let file = asset(name).unwrap_or_else(|| panic!("the page names {name}"));
            assert_eq!(file.cache.contains("immutable"), name.starts_with("assets/"), "{name}");
            assert_ne!(file.content_type, "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn the_table_has_every_kind_of_file_that_the_page_loads() {
        let types: Vec<&str> = FILES.iter().map(|(name, _)| content_type(name)).collect();
        for wanted in ["text/html; charset=utf-8", "text/javascript; charset=utf-8", "application/wasm"] {
            assert_eq!(types.contains(&wanted), BUILT, "{wanted}");
        }
        assert!(FILES.iter().all(|(name, bytes)| !name.starts_with('.') && !bytes.is_empty()));
    }

    #[test]
    fn an_embedded_page_knows_that_it_is_served() {
        let page = asset("/").expect("there is always a page");
        assert_eq!(text(&page).contains(r#"name="keyrail-topology" content="server""#), BUILT);
    }

    #[test]
    fn the_policy_allows_nothing_inline_and_one_kind_of_eval() {
        assert!(!CONTENT_SECURITY_POLICY.contains("unsafe-inline"));
        assert!(!CONTENT_SECURITY_POLICY.replace("'wasm-unsafe-eval'", "").contains("unsafe-eval"));
        assert!(!CONTENT_SECURITY_POLICY.contains(['\n', '\r']), "it is the value of a header");
    }
}

//! URLs that were spoiled on their way: written into HTML, encoded as a whole, cut out with what stood
//! around them.

use super::super::canonical;
use super::claim::{Reading, value};
use super::{Cause, Kind, Known, Request, search};

/// The names of a signature's parameters, as signers write them.
const NAMES: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// The damage, where the request is right without it.
pub(super) fn of(request: &Request, known: &Known<'_>) -> Option<Cause> {
    let reading = Reading::of(request);
    if reading.is_some_and(|reading| search::is_right(&reading, request, known)) {
        return None;
    }
    let repairs: [(Kind, Option<Request>, &str, &str); 6] = [
        (
            Kind::HtmlEscaped,
            html(request),
            "The URL was taken out of HTML or XML without reading its entities: \"&amp;\" stands for \"&\".",
            "Put the URL into the page escaped, and read it out again by the DOM (href, textContent); or hand \
             it over as JSON.",
        ),
        (
            Kind::UrlEncoded,
            encoded_whole(request),
            "The URL was encoded as a whole: its \"?\", \"=\" and \"&\" came as %3F, %3D and %26.",
            "Use the signed URL as it is: it is encoded already.",
        ),
        (
            Kind::UrlEncoded,
            encoded_query(request),
            "The query was encoded once more: its credential has \"%2F\" where \"/\" must be.",
            "Use the signed URL as it is: its query is encoded already.",
        ),
        (
            Kind::UrlEncoded,
            quoted_printable(request),
            "The URL went through a mail in quoted-printable: \"=3D\" stands for \"=\".",
            "Read the mail's text decoded, or send the URL in a part with another encoding.",
        ),
        (
            Kind::UrlSurrounded,
            surrounded(request),
            "Something that does not belong to the URL stands behind its signature.",
            "Cut the URL out without what stands around it: a signature has 64 digits.",
        ),
        (
            Kind::QueryCase,
            Some(cased(request)),
            "The names of the query's parameters came in small letters: something between changed them.",
            "Let it pass the query on as it came.",
        ),
    ];
    let mut right = repairs
        .into_iter()
        .filter_map(|(kind, repaired, what, fix)| {
            let repaired = repaired.filter(|repaired| repaired != request)?;
            let reading = Reading::of(&repaired)?;
            search::is_right(&reading, &repaired, known).then(|| Cause {
                kind,
                proven: true,
                what: what.to_owned(),
                fix: fix.to_owned(),
            })
        });
    right.next()
}

fn with_query(request: &Request, raw_query: String) -> Request {
    Request {
        raw_query,
        ..request.clone()
    }
}

fn html(request: &Request) -> Option<Request> {
    let query = &request.raw_query;
    let is_escaped = query.contains("amp;");
    is_escaped.then(|| with_query(request, query.replace("&amp;", "&").replace("&amp%3B", "&")))
}

fn encoded_whole(request: &Request) -> Option<Request> {
    let text = if request.raw_query.is_empty() {
        request.raw_path.clone()
    } else {
        format!("{}?{}", request.raw_path, request.raw_query)
    };
    let lower = text.to_ascii_lowercase();
    if !lower.contains("x-amz-signature%3d") {
        return None;
    }
    let decoded = String::from_utf8(canonical::decode(&text, false).into_owned()).ok()?;
    let (raw_path, raw_query) = decoded.split_once('?')?;
    Some(Request {
        raw_path: raw_path.to_owned(),
        raw_query: raw_query.to_owned(),
        ..request.clone()
    })
}

fn encoded_query(request: &Request) -> Option<Request> {
    let credential = value(&canonical::pairs(&request.raw_query), "X-Amz-Credential")?;
    if !credential.contains('%') {
        return None;
    }
    let query =
        String::from_utf8(canonical::decode(&request.raw_query, false).into_owned()).ok()?;
    Some(with_query(request, query))
}

fn quoted_printable(request: &Request) -> Option<Request> {
    let query = &request.raw_query;
    query
        .contains("=3D")
        .then(|| with_query(request, query.replace("=3D", "=")))
}

fn surrounded(request: &Request) -> Option<Request> {
    const DIGITS: usize = 64;
    let (front, behind) = request.raw_query.split_once("X-Amz-Signature=")?;
    let (signature, rest) = match behind.find('&') {
        Some(at) => behind.split_at(at),
        None => (behind, ""),
    };
    let whole = signature.get(..DIGITS)?;
    let is_hex = whole.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| with_query(request, format!("{front}X-Amz-Signature={whole}{rest}")))
}

fn cased(request: &Request) -> Request {
    let pieces = request.raw_query.split('&').map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let known = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name));
        known.map_or_else(|| piece.to_owned(), |known| format!("{known}={value}"))
    });
    with_query(request, pieces.collect::<Vec<_>>().join("&"))
}

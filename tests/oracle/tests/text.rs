//! Text as people write it for tcpdump means the same to Wharf's parser and to
//! libpcap's.

use wharf::Expression;
use wharf_oracle::account::{Account, hex};
use wharf_oracle::libpcap::{Completions, Libpcap, Optimizer};
use wharf_oracle::look::look;
use wharf_oracle::words::{self, is_contradiction, mean_the_same};
use wharf_oracle::{generate, seed};

#[test]
fn text_finds_the_same_frames_whoever_parses_it() {
    let mut rng = seed(9);
    let mut libpcap = Libpcap::new(Optimizer::Off);
    let mut account = Account::default();
    let mut refused = 0;

    for _ in 0..60 {
        let frames: Vec<_> = (0..120)
            .map(|_| generate::packet(&mut rng).render())
            .collect();
        for _ in 0..25 {
            let text = words::text(&mut rng);
            let expression: Expression = match text.parse() {
                Ok(expression) => expression,
                Err(error) => {
                    assert!(is_contradiction(&error), "{text}: {error}");
                    refused += 1;
                    for rendered in frames.iter().filter(|one| is_plain(&one.frame)) {
                        let completions = Completions::of(&rendered.frame, rendered.twin_visible);
                        let verdict = libpcap.verdict(&text, &completions);
                        assert_ne!(verdict, Some(true), "libpcap finds {text}");
                    }
                    continue;
                }
            };
            for rendered in &frames {
                let look = look(&rendered.frame);
                if look.tags > 0 || !mean_the_same(&expression, &look) {
                    continue;
                }
                let completions = Completions::of(&rendered.frame, look.visible);
                let verdict = libpcap.verdict(&text, &completions);
                let hidden = rendered.shape.hides(&expression);
                let wharf = expression.matches(&rendered.frame);
                account.enter(wharf, verdict, hidden.then_some(rendered.shape), || {
                    format!("text: {text}\nframe: {}", hex(&rendered.frame))
                });
            }
            libpcap.forget();
        }
    }

    println!("texts that contradict themselves: {refused}, libpcap finds nothing by them");
    account.close("text as people write it", 60_000, 20);
}

/// A frame for which all of tcpdump's words mean the same.
fn is_plain(frame: &[u8]) -> bool {
    let look = look(frame);
    look.tags == 0 && look.ether_type == Some(0x0800)
}

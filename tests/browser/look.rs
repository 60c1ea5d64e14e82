//! Looking at a page in all the ways people do: light and dark, on a desk and on a telephone.
//!
//! Must never judge taste: what is asserted is what keeps somebody from reading or using a page.

use crate::support::Chromium;

const JUDGE: &str = include_str!("judge.js");

/// Asserts that the page that is shown has no blunder in any of its looks, and takes pictures where `VESTIBULE_SCREENSHOTS` says. Afterwards it is
/// light and 1280 wide.
pub(crate) async fn look(chromium: &Chromium, name: &str) {
    for (width, height) in [(1280, 800), (360, 740)] {
        for dark in [false, true] {
            chromium.dark(dark).await;
            let mut tall = height;
            if std::env::var_os("VESTIBULE_SCREENSHOTS").is_some() {
                chromium.size(width, height).await;
                let whole = chromium.run("return document.documentElement.scrollHeight", vec![]).await;
                tall = u32::try_from(whole.as_u64().unwrap()).unwrap().clamp(height, 6000);
            }
            chromium.size(width, tall).await;
            let theme = if dark { "dark" } else { "light" };
            chromium.screenshot(&format!("{name}-{width}-{theme}")).await;
            let wrong = chromium.run(JUDGE, vec![]).await;
            assert_eq!(wrong, serde_json::json!([]), "{name}, {width} wide, {theme}");
        }
    }
    chromium.dark(false).await;
    chromium.size(1280, 800).await;
}

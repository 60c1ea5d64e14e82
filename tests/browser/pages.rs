//! Our own pages: they say what they should, can do nothing, and can be read by everybody.

use std::time::Duration;

use crate::look::look;
use crate::support::{BadOp, Chromium, ConfigBuilder, Echo, Endpoint, Gateway, Site, eventually, free_port};
use crate::world::{World, html_page, plant};

struct Pages {
    op: BadOp,
    _partners: BadOp,
    echo: Echo,
    gateway: Gateway,
    chromium: Chromium,
}

/// Under `localhost`, so that others at `127.0.0.1` are another site and cookies may have any path.
async fn start() -> Pages {
    let (op, partners, echo) = (BadOp::start().await, BadOp::start().await, Echo::start().await);
    partners.script(|script| {
        script.fail(Endpoint::Discovery, 500);
    });
    let config = ConfigBuilder::usual(&op, &echo)
        .provider("partners", &partners)
        .upstream("dead", &format!("http://127.0.0.1:{}", free_port()))
        .route("path = \"/app\"\nupstream = \"app\"\nprovider = \"corp\"")
        .route("path = \"/admins\"\nupstream = \"app\"\nprovider = \"corp\"\nrequire = { groups = [\"admins\"] }")
        .route("path = \"/partners\"\nupstream = \"app\"\nprovider = \"partners\"")
        .route("path = \"/public\"\nupstream = \"app\"\naccess = \"public\"")
        .route("path = \"/dead\"\nupstream = \"dead\"\naccess = \"public\"")
        .with("public_url = \"http://localhost:@PUBLIC_PORT@\"");
    let gateway = Gateway::start(config).await;
    Pages { op, _partners: partners, echo, gateway, chromium: Chromium::start().await }
}

impl Pages {
    /// Looks at the page that is shown, which says `words`.
    async fn is(&self, name: &str, words: &str) {
        let text = self.chromium.text().await;
        assert!(text.contains(words), "{name} at {}: {text}", self.chromium.url().await);
        let console = self.chromium.console().await;
        // That the document itself has an error's status is what the console always says.
        let own = self.chromium.url().await;
        let strange: Vec<_> =
            console.iter().filter(|line| !line.contains(&format!("{own} - Failed to load resource"))).collect();
        assert!(strange.is_empty(), "{name}: {strange:?}");
        look(&self.chromium, name).await;
    }

    async fn goes(&self, name: &str, path: &str, words: &str) {
        self.chromium.goto(&self.gateway.url(path)).await;
        self.is(name, words).await;
    }

    /// Sends a form from a page of `server`.
    async fn posts(&self, from: &str, to: &str) {
        let to = self.gateway.url(to);
        html_page(&self.echo, "/public/form", &format!("<form method=post action=\"{to}\"><button>x</button></form>"));
        self.chromium.goto(&format!("{from}/public/form")).await;
        self.chromium.console().await;
        self.chromium.click("button").await;
        self.chromium.wait_for_url(|url| url == to).await;
    }
}

#[tokio::test]
async fn pages_of_the_way_in_and_out() {
    let pages = start().await;
    let Pages { op, echo, gateway, chromium, .. } = &pages;
    pages.goes("choose-provider", "/oauth2/login?rd=/public", "Where do you want to sign in?").await;
    pages.goes("signed-out", "/oauth2/signed_out", "You are signed out").await;
    html_page(echo, "/link", &format!("<a href=\"{}\">x</a>", gateway.url("/oauth2/logout?rd=/bye")));
    chromium.goto(&format!("{}/link", echo.url())).await;
    chromium.console().await;
    chromium.click("a").await;
    chromium.wait_for_url(|url| url.starts_with(&gateway.url("/"))).await;
    pages.is("confirm-logout", "Sign out?").await;

    // LOGIN-15's part that only a browser can show: what the provider says is text.
    let said = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> Ask your team lead for access to Reports.";
    op.script(|script| {
        script.deny("access_denied", said);
    });
    pages.goes("provider-refuses", "/app", "You were not let in").await;
    assert!(chromium.text().await.contains("<script>document.title='owned'</script>"));
    assert_ne!(chromium.client.title().await.unwrap(), "owned");
    assert_eq!(op.count(Endpoint::Authorize), 1);
    op.behave();
    op.script(|script| {
        script.id_token_claims(|claims| claims["nonce"] = "wrong".into());
    });
    pages.goes("provider-answers-wrong", "/app", "did not hold").await;
    pages.goes("provider-down", "/partners", "Signing in is not possible right now").await;
    pages.goes("no-callback", "/oauth2/callback?x", "This is not an answer to a login").await;
    plant(chromium, &gateway.url("/"), "vestibule-loop", "3", "/").await;
    pages.goes("loop", "/app", "Signing in goes round in circles").await;
}

#[tokio::test]
async fn pages_of_what_goes_wrong() {
    let pages = start().await;
    let Pages { echo, gateway, chromium, .. } = &pages;
    pages.posts(gateway.public_url(), "/app").await;
    pages.is("sign-in-first", "Sign in first").await;
    pages.posts(&echo.url(), "/oauth2/logout").await;
    pages.is("another-site", "Another site may not do this here").await;
    pages.posts(gateway.public_url(), "/oauth2/signed_out").await;
    pages.is("wrong-method", "This method is not for this endpoint").await;
    pages.goes("nothing-here", "/oauth2/nothing", "There is nothing here").await;
    pages.goes("no-route", "/nowhere/at-all", "No application is known at this address.").await;
    pages.goes("ambiguous-path", "/app/%2e%2fx", "This address is ambiguous").await;
    pages.goes("application-down", "/dead", "The application does not answer").await;
    pages.goes("not-for-you", "/admins", "You may not see this").await;
    let elsewhere = gateway.public_url().replace("localhost", "wrong.localhost");
    chromium.goto(&format!("{elsewhere}/app")).await;
    pages.is("wrong-host", "This server does not answer for that host.").await;
    plant(chromium, &gateway.url("/app"), "vestibule", "x", "/app").await;
    pages.goes("several-cookies", "/app", "Several session cookies").await;
}

/// CSRF-08 in the browser: whatever somebody got into a page of ours, it would not run, load, frame or send anything.
#[tokio::test]
async fn nothing_runs_or_loads_on_our_pages() {
    let World { gateway, chromium, echo, .. } = &World::start().await;
    let attack = "
        window.ran = []; window.blocked = [];
        document.addEventListener('securitypolicyviolation', event => blocked.push(event.effectiveDirective));
        const script = document.createElement('script'); script.textContent = 'ran.push(\"script\")'; document.body.append(script);
        const loaded = document.createElement('script'); loaded.src = 'data:text/javascript,ran.push(\"loaded\")'; document.body.append(loaded);
        document.body.insertAdjacentHTML('beforeend', `<button id=in onclick=\"ran.push('handler')\">x</button>
            <p id=styled style=\"color: rgb(1, 2, 3)\">x</p><iframe src=\"/public/framed\"></iframe><img id=image src=\"/public/image\">
            <form id=away action=\"https://elsewhere.test/\" method=post></form>`);
        document.getElementById('in').click();
        document.getElementById('away').submit();
        const base = document.createElement('base'); base.href = 'https://elsewhere.test/'; document.head.append(base);
        blocked.push(await fetch('/public/fetched').then(() => 'fetch went through', () => 'fetch failed'));
        return [ran, getComputedStyle(document.getElementById('styled')).color, document.baseURI]";
    chromium.goto(&gateway.url("/oauth2/signed_out")).await;
    let result = chromium.run(attack, vec![]).await;
    assert_eq!(result[0], serde_json::json!([]), "what ran");
    assert_ne!(result[1], "rgb(1, 2, 3)");
    assert_eq!(result[2], gateway.url("/oauth2/signed_out"));
    let expected = [
        "script-src-elem",
        "script-src-attr",
        "style-src-attr",
        "frame-src",
        "img-src",
        "form-action",
        "base-uri",
        "connect-src",
        "fetch failed",
    ];
    eventually("reports of the policy", Duration::from_secs(5), || async {
        let blocked = chromium.run("return window.blocked", vec![]).await.to_string();
        expected.iter().all(|directive| blocked.contains(directive)).then_some(())
    })
    .await;
    assert!(!echo.requests().iter().any(|seen| seen.target.starts_with("/public")), "{:?}", echo.requests());

    // The same on a page without a policy: the attack is one.
    html_page(echo, "/public/plain", "<h1>x</h1>");
    chromium.goto(&gateway.url("/public/plain")).await;
    let script =
        attack.replace("document.getElementById('away').submit();", "").replace("document.head.append(base);", "");
    let result = chromium.run(&script, vec![]).await;
    assert!(result[0].to_string().contains("script") && result[0].to_string().contains("handler"), "{result}");
    assert_eq!(result[1], "rgb(1, 2, 3)");
}

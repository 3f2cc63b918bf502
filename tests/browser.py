"""A real Chromium of the distribution's packages, without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options  # selenium.webdriver's own names are imported while they are used
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.ui import WebDriverWait

from tests.waiting import PATIENCE


@contextmanager
def chromium(profile: Path) -> Iterator[WebDriver]:
    """Open a browser with an empty profile; it asks no host but the one it is sent to."""
    options = Options()
    options.binary_location = shutil.which("chromium") or "chromium"
    quiet = (
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-quic",
    )
    for name in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "window-size=1400,900",
        f"user-data-dir={profile}",
        *quiet,
    ):
        options.add_argument(f"--{name}")
    driver = WebDriver(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def _wait(driver: WebDriver) -> WebDriverWait[WebDriver]:
    """Chromium has errors of many kinds for a page that another one replaces just now: each is looked at again."""
    return WebDriverWait(driver, PATIENCE, ignored_exceptions=[WebDriverException])


def sign_in(driver: WebDriver, address: str, password: str) -> None:
    """Open JupyterLab's address and sign in with the password."""
    driver.get(address)
    _wait(driver).until(expected.presence_of_element_located((By.ID, "password_input"))).send_keys(password)
    driver.find_element(By.ID, "login_submit").click()


def wait_for_lab(driver: WebDriver) -> None:
    """Wait until the lab itself is there: its launcher."""
    _wait(driver).until(expected.presence_of_element_located((By.CSS_SELECTOR, ".jp-Launcher-body")))


def wait_for_text(driver: WebDriver, text: str) -> None:
    """Wait until the page shows a text."""
    shown = expected.text_to_be_present_in_element((By.TAG_NAME, "body"), text)
    _wait(driver).until(shown)

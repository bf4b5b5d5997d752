"""What the screens show, without a screen: run folders read as they grow, filtered, sorted, started and stopped."""

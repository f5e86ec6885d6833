"""What all AWS engines share: clients, limits, prices, rates, stored responses, metering, alerts. No engine is here."""

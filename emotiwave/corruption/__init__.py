"""What spoils signals: functions of a signal, how badly, and a generator, without any memory."""
